"""The costs as pictures for the documentation: one SVG a series, readable on a light page and on a dark one.

Bars are the least and the most of the rounds. By length of title, a line goes through those that the student reads
whole, and a dotted one through all. By processes there is throughput as well: to have more of it is what they are for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tests.benchmarks.stream.contenders import PASSTHROUGH
from tests.benchmarks.stream.scaling.cases import POINTS, Series
from tests.benchmarks.stream.scaling.figures import FLAT, FLAT_SERIES, Line, Row, of_series

SIZE_INCHES = (6.4, 3.6)
COLOURS = ("#0072b2", "#d55e00", "#009e73")  # Okabe and Ito's, for colour-blind readers too
GREY = "#767676"
AXIS: dict[Series, str] = {
    "partitions": "partitions",
    "messages": "messages in a backlog",
    "characters": "characters of a title",
    "processes": "processes",
}
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "scaling", "font.family": "sans-serif", "font.size": 10}


def write_plots(folder: Path, found: Sequence[Row], lines: Sequence[Line]) -> list[Path]:
    """Draw every series of two points or more; the files written, `scaling-SERIES.svg` each."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for series in POINTS:
        own = of_series(found, series)
        if max((len(rows) for rows in own.values()), default=0) < 2:
            continue
        with mpl.rc_context(STYLE):  # type: ignore[arg-type]
            figure = Figure(figsize=SIZE_INCHES, layout="constrained", facecolor="white")
            if series == "processes":
                cost, throughput = figure.subplots(1, 2)
                _draw_throughput(throughput, series, own)
            else:
                cost = figure.subplots()
            _draw_cost(cost, series, own, lines)
            rounds = max(len(row.processor_microseconds_by_round) for rows in own.values() for row in rows)
            figure.suptitle(f"by {AXIS[series]}; medians of {rounds} rounds, bars from least to most", fontsize=10)
            path = folder / f"scaling-{series}.svg"
            figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        written.append(path)
    return written


def _draw_cost(axes: Axes, series: Series, own: dict[str, list[Row]], lines: Sequence[Line]) -> None:
    for number, (contender, rows) in enumerate(own.items()):
        colour = _colour(contender, number)
        points = np.array([row.point for row in rows])
        costs = np.array([row.processor_microseconds for row in rows])
        fitted = [line for line in lines if series == "characters" and line.contender == contender]
        style = "o" if fitted else "o-"
        bars = _bars(costs, [row.processor_microseconds_by_round for row in rows])
        axes.errorbar(points, costs, yerr=bars, fmt=style, color=colour, capsize=3, label=contender)
        for line, dashes in zip(fitted, ("-", ":"), strict=False):  # through what the student reads, and through all
            ends = np.array([0, line.up_to])
            fit = line.microseconds_per_character * ends + line.microseconds_per_message
            axes.plot(ends, fit, dashes, color=colour, label=f"up to {line.up_to} characters")
        if series in FLAT_SERIES and contender != PASSTHROUGH:
            middle = (costs.max() + costs.min()) / 2
            low, high = (1 - FLAT) * middle, (1 + FLAT) * middle
            axes.axhspan(low, high, color=colour, alpha=0.12, linewidth=0, label=f"± {FLAT:.0%}")
    axes.set_ylabel("processor time, µs a message")
    _lay_out(axes, series, own)


def _draw_throughput(axes: Axes, series: Series, own: dict[str, list[Row]]) -> None:
    for number, (contender, rows) in enumerate(own.items()):
        rates = np.array([row.messages_per_second for row in rows]) / 1000
        bars = _bars(rates, [[rate / 1000 for rate in row.messages_per_second_by_round] for row in rows])
        colour, points = _colour(contender, number), [row.point for row in rows]
        axes.errorbar(points, rates, yerr=bars, fmt="o-", color=colour, capsize=3, label=contender)
    axes.set_ylabel("thousand messages a second")
    _lay_out(axes, series, own)


def _colour(contender: str, number: int) -> str:
    return GREY if contender == PASSTHROUGH else COLOURS[number % len(COLOURS)]


def _bars(medians: NDArray[np.float64], by_round: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """How far the least and the most of the rounds lie from each median: (2, points)."""
    return np.array([medians - [min(one) for one in by_round], np.array([max(one) for one in by_round]) - medians])


def _lay_out(axes: Axes, series: Series, own: dict[str, list[Row]]) -> None:
    if series == "characters":
        axes.set_xlim(left=0)
    else:
        axes.set_xscale("log", base=10 if series == "messages" else 2)
        ticks = sorted({row.point for rows in own.values() for row in rows})
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.minorticks_off()
    axes.set_ylim(bottom=0, top=1.08 * axes.get_ylim()[1])
    axes.set_xlabel(AXIS[series])
    axes.grid(axis="y", linewidth=0.5, alpha=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
