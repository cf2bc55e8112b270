"""What the costs say: medians, whether they are flat, and how far they lie off a line."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.stream.scaling.cases import Case, Series
from tests.benchmarks.stream.scaling.costs import Cost

FLAT = 0.15  # either way
STRAIGHT = 0.1  # off the line, either way
FLAT_SERIES: tuple[Series, ...] = ("partitions", "messages")


@dataclass(frozen=True, slots=True)
class Row:
    """Medians of the rounds at one point, and the rounds' own figures."""

    contender: str
    series: Series
    point: int
    processor_microseconds: float
    messages_per_second: float
    processor_microseconds_by_round: list[float]
    messages_per_second_by_round: list[float]


@dataclass(frozen=True, slots=True)
class Flatness:
    """The least x such that all costs of a series lie within ± x of one cost, the middle between least and most."""

    contender: str
    series: Series
    within: float
    limit: float
    kept: bool


@dataclass(frozen=True, slots=True)
class Line:
    """`microseconds = per_character * characters + per_message`, by least squares, of titles of no more characters than
    `up_to`; `off_the_line` is the greatest distance of a cost from it, as a share of the line.
    """

    contender: str
    up_to: int
    microseconds_per_character: float
    microseconds_per_message: float
    off_the_line: float


def rows(found: Sequence[Cost]) -> list[Row]:
    """One a contender and case, in the order of the first round."""
    of: dict[tuple[str, Case], list[Cost]] = defaultdict(list)
    for one in found:
        of[one.contender, one.case].append(one)
    return [
        Row(
            contender=contender,
            series=case.series,
            point=case.point,
            processor_microseconds=round(statistics.median(one.processor_microseconds for one in rounds), 3),
            messages_per_second=round(statistics.median(one.messages_per_second for one in rounds)),
            processor_microseconds_by_round=[one.processor_microseconds for one in rounds],
            messages_per_second_by_round=[one.messages_per_second for one in rounds],
        )
        for (contender, case), rounds in of.items()
    ]


def of_series(found: Sequence[Row], series: Series) -> dict[str, list[Row]]:
    """The rows of a series by their contender, in ascending order of what is varied."""
    by_contender: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(found, key=lambda row: row.point):
        if row.series == series:
            by_contender[row.contender].append(row)
    return by_contender


def flatness(found: Sequence[Row]) -> list[Flatness]:
    """Of each contender in each series that is to be flat."""
    said = []
    for series in FLAT_SERIES:
        for contender, own in of_series(found, series).items():
            costs = [row.processor_microseconds for row in own]
            within = (max(costs) - min(costs)) / (max(costs) + min(costs))
            said.append(Flatness(contender, series, round(within, 4), FLAT, within <= FLAT))
    return said


def lines(found: Sequence[Row], read_characters: int) -> list[Line]:
    """Through all lengths of title, and through those that the student reads whole: the rest of a longer one is cut."""
    said = []
    for contender, own in of_series(found, "characters").items():
        for up_to in dict.fromkeys((read_characters, own[-1].point)):
            points = [(row.point, row.processor_microseconds) for row in own if row.point <= up_to]
            if len(points) > 1:
                said.append(_line(contender, up_to, points))
    return said


def _line(contender: str, up_to: int, points: Sequence[tuple[int, float]]) -> Line:
    characters, microseconds = np.array(points).T  # (2, points)
    per_character, per_message = np.polyfit(characters, microseconds, deg=1)
    line = per_character * characters + per_message
    return Line(
        contender,
        up_to,
        round(float(per_character), 5),
        round(float(per_message), 3),
        round(float(np.abs(microseconds / line - 1).max()), 4),
    )
