"""The labelled files, drawn: how many texts of each class, and how long they are."""

from __future__ import annotations

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from kuaixun.trainer.data.analysis import Analysis, ClassAnalysis, Lengths
from kuaixun.trainer.report.drawing import GRID, INK, MUTED, SERIES, drawn, label_room_inches, label_shown

WIDTH_INCHES = 4.6
ROW_INCHES = 0.24
SHOWN_CLASSES = 30  # the commonest; more are not told apart


def class_balance(analysis: Analysis) -> Markup:
    """The share of each class in each file: bars for the first, marks for the others."""
    first, *others = analysis.files
    shown = _shown(first.classes)
    labels = tuple(label_shown(one.label) for one in shown)
    places = list(range(len(shown)))

    def draw(figure: Figure) -> None:
        axes = figure.add_axes(_beside_labels(figure, labels))
        axes.barh(places, [one.share for one in shown], color=SERIES[0], alpha=0.55, height=0.62, label=first.role)
        for file, (marker, size), colour in zip(others, (("D", 6), ("o", 3)), (SERIES[1], INK), strict=False):
            shares = {one.label: one.share for one in file.classes}
            found = [shares[one.label] for one in shown]
            axes.plot(found, places, marker, color=colour, markersize=size, label=file.role)
        _name_rows(axes, places, labels)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xlim(left=0)
        axes.set_xlabel("share of the file's texts")
        handles = {str(handle.get_label()): handle for handle in axes.get_legend_handles_labels()[0]}
        axes.legend(
            handles=[handles[file.role] for file in analysis.files],
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=3,
            borderaxespad=0,
            handlelength=1.2,
        )

    counts = ", ".join(f"{label} {one.share:.1%}" for label, one in zip(labels, shown, strict=True))
    return drawn("balance", f"Share of each class in {first.role}: {counts}", _size(len(shown) + 1), draw)


def text_lengths(analysis: Analysis, read_up_to: int) -> Markup:
    """Lengths in the first file, class by class: 5 to 95 % of the texts, the middle half, the median."""
    first = analysis.files[0]
    found = [(one.label, one.lengths) for one in _shown(first.classes) if one.lengths is not None]
    rows: list[tuple[str, Lengths]] = [*found, ("all", first.lengths)]
    labels = tuple(label_shown(label) for label, _ in rows)
    places = list(range(len(rows)))

    def draw(figure: Figure) -> None:
        axes = figure.add_axes(_beside_labels(figure, labels))
        for place, (_, lengths) in zip(places, rows, strict=True):
            colour = MUTED if place == places[-1] else SERIES[0]
            axes.plot([lengths.p05, lengths.p95], [place, place], color=colour, linewidth=1.2)
            axes.plot(
                [lengths.p25, lengths.p75], [place, place], color=colour, linewidth=7, alpha=0.5, solid_capstyle="butt"
            )
            axes.plot([lengths.p50], [place], "|", color=INK, markersize=9, markeredgewidth=1.6)
        longest = max(lengths.p95 for _, lengths in rows)
        if read_up_to <= 1.5 * longest:
            axes.axvline(read_up_to, color=SERIES[1], linewidth=1, linestyle=(0, (4, 3)))
            above = axes.get_xaxis_transform()
            axes.text(read_up_to, 1.01, "read up to here", color=SERIES[1], ha="right", va="bottom", transform=above)
        _name_rows(axes, places, labels)
        axes.set_xlim(left=0)
        axes.set_xlabel("characters after cleaning")

    says = ", ".join(f"{label} {lengths.p50:.0f}" for label, (_, lengths) in zip(labels, rows, strict=True))
    return drawn("lengths", f"Median length of the texts of each class: {says}", _size(len(rows)), draw)


def _shown(classes: tuple[ClassAnalysis, ...]) -> tuple[ClassAnalysis, ...]:
    """The classes in their order; of very many, the commonest, in that order too."""
    places = sorted(range(len(classes)), key=lambda place: -classes[place].texts)[:SHOWN_CLASSES]
    return tuple(classes[place] for place in sorted(places))


def _size(rows: int) -> tuple[float, float]:
    return WIDTH_INCHES, rows * ROW_INCHES + 0.85


def _beside_labels(figure: Figure, labels: tuple[str, ...]) -> tuple[float, float, float, float]:
    """Left, bottom, width and height of axes with room for labels at the left, a name below, a legend above."""
    width, height = figure.get_size_inches()
    left = label_room_inches(labels)
    return left / width, 0.45 / height, (width - left - 0.15) / width, (height - 0.75) / height


def _name_rows(axes: Axes, places: list[int], labels: tuple[str, ...]) -> None:
    axes.set_yticks(places, labels=labels)
    axes.set_ylim(len(places) - 0.4, -0.6)  # the first row on top
    axes.tick_params(length=0)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=GRID)
