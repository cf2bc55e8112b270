"""How good a model is, drawn: which class is taken for which, what confidences mean, what abstaining buys."""

from __future__ import annotations

import math

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter, StrMethodFormatter

from kuaixun.trainer.evaluation.figures import Evaluation
from kuaixun.trainer.report.drawing import (
    FONT_SIZE,
    INK,
    MUTED,
    PAPER,
    SERIES,
    drawn,
    label_room_inches,
    label_shown,
)

NUMBERED_CLASSES = 16  # of more, the cells hold no numbers
MATRIX_CLASSES = 60  # of more, a cell is smaller than a dot
FULL = 0.92  # a cell's opacity at most


def confusion_matrix(figures: Evaluation) -> Markup | None:
    """A row a true class, a column a predicted one, shaded by the share of the row; None where nobody could read it.

    Errors are shaded by the root of their share: one text in a hundred is seen, too.
    """
    labels = tuple(label_shown(one.label) for one in figures.classes)
    if len(labels) > MATRIX_CLASSES:
        return None
    unanswered = any(row[-1] for row in figures.confusion)
    columns = (*labels, "none") if unanswered else labels
    cell = 0.4 if len(labels) <= NUMBERED_CLASSES else max(0.1, 6.0 / len(labels))
    room = label_room_inches(columns)
    width, height = len(columns) * cell + room + 0.1, len(labels) * cell + room + 0.3

    def draw(figure: Figure) -> None:
        axes = figure.add_axes(
            (room / width, 0.05 / height, len(columns) * cell / width, len(labels) * cell / height),
            xlim=(-0.5, len(columns) - 0.5),
            ylim=(len(labels) - 0.5, -0.5),
        )
        for true, row in enumerate(figures.confusion):
            for said in range(len(columns)):
                _cell(axes, (said, true), row[said], sum(row), numbered=len(labels) <= NUMBERED_CLASSES)
        small = FONT_SIZE if len(labels) <= NUMBERED_CLASSES else min(FONT_SIZE, cell * 60)
        axes.set_xticks(range(len(columns)), labels=columns, rotation=90, fontsize=small)
        axes.set_yticks(range(len(labels)), labels=labels, fontsize=small)
        axes.xaxis.tick_top()
        axes.tick_params(length=0, labelcolor=INK)
        axes.spines[:].set_visible(False)

    return drawn("confusion", "Confusion matrix: a row a true class, a column a predicted one", (width, height), draw)


def _cell(axes: Axes, place: tuple[int, int], count: int, row_texts: int, *, numbered: bool) -> None:
    said, true = place
    if not count:
        return
    share = count / row_texts
    opacity = FULL * (share if said == true else math.sqrt(share))
    colour = SERIES[0] if said == true else SERIES[1]
    axes.add_patch(Rectangle((said - 0.48, true - 0.48), 0.96, 0.96, facecolor=colour, alpha=opacity, linewidth=0))
    if numbered:
        ink = PAPER if opacity > 0.55 else INK
        axes.text(said, true, str(count), ha="center", va="center", color=ink, fontsize=7.5)


def reliability_diagram(figures: Evaluation) -> Markup:
    """Accuracy by confidence; the diagonal is where confidences mean what they say. Below, how many texts there are."""
    bins = [one for one in figures.reliability if one.accuracy is not None]
    middles = [(one.low + one.high) / 2 for one in bins]
    width = figures.reliability[0].high * 0.92
    accuracies = [one.accuracy or 0.0 for one in bins]
    confidences = [one.confidence or 0.0 for one in bins]

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, sharex=True, height_ratios=(3, 1))
        above.bar(middles, accuracies, width, color=SERIES[0], alpha=0.55, label="accuracy")
        above.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        above.plot(confidences, accuracies, "o", color=INK, markersize=3, label="at the mean confidence")
        above.set(xlim=(0, 1), ylim=(0, 1.02))
        above.set_title(f"accuracy by confidence, ECE {figures.calibration_error:.4f}")
        above.yaxis.set_major_formatter(PercentFormatter(1.0))
        below.bar(middles, [one.texts for one in bins], width, color=MUTED, alpha=0.5)
        below.set_yscale("log")
        below.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        below.set_title("texts")
        below.set_xlabel("confidence")
        for axes in (above, below):
            axes.grid(axis="y")
            axes.tick_params(length=0, which="both")
        below.minorticks_off()
        figure.subplots_adjust(left=0.13, right=0.97, top=0.94, bottom=0.11, hspace=0.22)

    says = f"Reliability diagram; the expected calibration error is {figures.calibration_error:.4f}"
    return drawn("reliability", says, (4.6, 4.2), draw)


def coverage_curve(figures: Evaluation) -> Markup:
    """What abstaining buys: the accuracy on the answered texts, over the share that is answered."""
    points = [point for point in figures.coverage if point.accuracy is not None]
    answered = [point.answered for point in points]
    accuracies = [point.accuracy or 0.0 for point in points]
    marked = [point for point in points if round(100 * point.threshold) in (50, 70, 80, 90, 95, 99)]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot(answered, accuracies, color=SERIES[0])
        for point in marked:
            axes.plot([point.answered], [point.accuracy or 0.0], "o", color=INK, markersize=4)
            axes.annotate(
                f"{point.threshold:.2f}",
                (point.answered, point.accuracy or 0.0),
                xytext=(-4, -4),
                textcoords="offset points",
                ha="right",
                va="top",
                color=INK,
                fontsize=8,
            )
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.margins(x=0.09)
        axes.set_xlabel("share of the texts that is answered")
        axes.set_title("accuracy on the answered texts; marks are thresholds")
        axes.grid()
        axes.tick_params(length=0)
        figure.subplots_adjust(left=0.13, right=0.95, top=0.92, bottom=0.14)

    says = "Accuracy on the answered texts over their share"
    if points:
        says += f", from {accuracies[0]:.2%} where {answered[0]:.0%} are answered"
    return drawn("coverage", says, (4.6, 3.4), draw)
