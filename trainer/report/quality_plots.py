"""How good a model is, drawn: which class is taken for which, what confidences mean, what abstaining buys."""

from __future__ import annotations

import math

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, PercentFormatter, StrMethodFormatter

from kuaixun.trainer.evaluation.coverage import CoveragePoint
from kuaixun.trainer.evaluation.figures import Evaluation
from kuaixun.trainer.report.drawing import (
    INK,
    MUTED,
    PAPER,
    SERIES,
    drawn,
    label_room_inches,
    label_shown,
)
from kuaixun.trainer.report.label_places import write_names

NUMBERED_CLASSES = 16  # of more, the cells hold no numbers
MATRIX_CLASSES = 60  # of more, nobody finds a cell
LEAST_CELL_INCHES = 0.16  # a name beside it is still of the size of all others
MARKED_PERCENT = (50, 70, 80, 90, 95, 99)
LEAST_ROOM_POINTS = 6.0  # from a mark to its name
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
    cell = 0.4 if len(labels) <= NUMBERED_CLASSES else max(LEAST_CELL_INCHES, 6.0 / len(labels))
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
        axes.set_xticks(range(len(columns)), labels=columns, rotation=90)
        axes.set_yticks(range(len(labels)), labels=labels)
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
        most = max((one.texts for one in bins), default=1)
        below.set_ylim(0.7, 10 ** max(1.0, math.log10(most) + 0.15))  # 1 and 10 are ticks at least
        below.yaxis.set_major_locator(LogLocator(10, numticks=4))
        below.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        below.set_title("texts, on a logarithmic scale")
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
    points = _answered(figures)
    curve = [(point.answered, accuracy) for point, accuracy in points]
    marked: dict[tuple[float, float], str] = {}  # thresholds that answer the same texts are one mark
    for point, accuracy in points:
        if round(100 * point.threshold) in MARKED_PERCENT:
            marked.setdefault((point.answered, accuracy), f"{point.threshold:.2f}")

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot([x for x, _ in curve], [y for _, y in curve], color=SERIES[0])
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.margins(x=0.09, y=0.12)
        axes.set_xlabel("share of the texts that is answered")
        axes.set_title("accuracy on the answered texts; marks are thresholds")
        axes.grid()
        axes.tick_params(length=0)
        figure.subplots_adjust(left=0.13, right=0.95, top=0.92, bottom=0.14)
        written = write_names(axes, list(marked), list(marked.values()), nearest=LEAST_ROOM_POINTS, curve=curve)
        named = [place for place, is_written in zip(marked, written, strict=True) if is_written]
        axes.plot([x for x, _ in named], [y for _, y in named], "o", color=INK, markersize=4)

    says = "Accuracy on the answered texts over their share"
    if points:
        says += f", from {curve[0][1]:.2%} where {curve[0][0]:.0%} are answered"
    return drawn("coverage", says, (4.6, 3.4), draw)


def what_abstaining_buys(figures: Evaluation) -> str:
    """The curve in words: how many of the texts are right that the student is surest of, about half of all."""
    points = _answered(figures)
    if not points:
        return "No text is answered."
    every, accuracy = points[0]
    half, of_half = min(points, key=lambda one: abs(one[0].answered - every.answered / 2))
    if half.answered == every.answered:
        return f"No threshold parts the texts: {accuracy:.1%} are right."
    told = (
        f"Of all answered texts {accuracy:.1%} are right, of the {half.answered:.0%} with a confidence of "
        f"{half.threshold:.2f} or more {of_half:.1%}"
    )
    return f"{told}." if of_half > accuracy else f"{told}: abstaining does not help here."


def _answered(figures: Evaluation) -> list[tuple[CoveragePoint, float]]:
    """The points of the curve at which anything is answered, with the accuracy there, the lowest threshold first."""
    return [(point, point.accuracy) for point in figures.coverage if point.accuracy is not None]
