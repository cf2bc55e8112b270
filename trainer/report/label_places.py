"""Where names stand on a plot, so that none covers another: near what they name, or apart with a line to it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.axes import Axes

from kuaixun.trainer.report.drawing import CLASS, FONT_SIZE, INK, MUTED, POINTS_PER_INCH, columns_of

Point = tuple[float, float]
STEP_POINTS = 4.0
FARTHEST_POINTS = 24.0  # beside a curve, a name farther off is of no help
DIRECTIONS = 16
# A letter of the page's bold font, and a line of it, in sizes of the font: wider than most, for we cannot measure it.
LETTER, LINE = 0.66, 1.3


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle by its middle and its size, in points."""

    x: float
    y: float
    width: float
    height: float

    def meets(self, other: Box) -> bool:
        """Whether the two share a place."""
        return (
            abs(self.x - other.x) * 2 < self.width + other.width
            and abs(self.y - other.y) * 2 < self.height + other.height
        )

    def holds(self, point: Point) -> bool:
        """Whether a point lies in it."""
        return abs(self.x - point[0]) * 2 < self.width and abs(self.y - point[1]) * 2 < self.height

    def away_from(self, point: Point) -> float:
        """How far off a point lies from its edge; 0 in it."""
        across, up = abs(self.x - point[0]) - self.width / 2, abs(self.y - point[1]) - self.height / 2
        return math.hypot(max(across, 0), max(up, 0))

    def is_within(self, width: float, height: float) -> bool:
        """Whether all of it lies between (0, 0) and (width, height)."""
        return (
            self.width / 2 <= self.x <= width - self.width / 2 and self.height / 2 <= self.y <= height - self.height / 2
        )


def name_box(name: str, font_size: float = FONT_SIZE) -> Box:
    """The room of a name, at (0, 0)."""
    return Box(0, 0, (columns_of(name) + 0.5) * LETTER * font_size, LINE * font_size)


def places_apart(
    anchors: Sequence[Point],
    rooms: Sequence[Box],
    extent: Point,
    *,
    avoid: Sequence[Point] = (),
    nearest: float = 0.0,
    lines_apart: bool = False,
) -> tuple[Box | None, ...]:
    """A box for each anchor, in order the nearest that is free; None where there is none in this `extent`.

    All in points. No box meets another or holds a point of `avoid`; edges are `nearest` or farther from the anchor,
    which a box may cover where that is 0. With `lines_apart` no box lies on the way from another to its
    anchor, and none is nearer to another anchor than to its own.
    """
    placed: list[Box] = []
    found: list[Box | None] = []
    avoided = list(avoid)
    for anchor, room in zip(anchors, rooms, strict=True):
        free = (
            box
            for box in _around(anchor, room, nearest, FARTHEST_POINTS if lines_apart else math.hypot(*extent))
            if box.is_within(*extent)
            and not any(box.meets(one) for one in placed)
            and not any(box.holds(point) for point in avoided)
            and not (lines_apart and _could_be_anothers(box, anchor, anchors, placed))
        )
        box = next(free, None)
        found.append(box)
        if box:
            placed.append(box)
            avoided += _way(anchor, box) if lines_apart else []
    return tuple(found)


def write_names(
    axes: Axes, anchors: Sequence[Point], names: Sequence[str], *, nearest: float = 0.0, curve: Sequence[Point] = ()
) -> tuple[bool, ...]:
    """Write each name beside its anchor, both in the data's coordinates; what changes the axes' limits is drawn before.

    No name covers the `curve`, where there is one. The earlier names have the better places; one that finds no room
    near its anchor is not written. Returns which are.
    """
    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("the axes stand on no figure")
    scale = POINTS_PER_INCH / figure.dpi
    axes.autoscale_view()  # or the transformation is that of what was drawn before
    left, bottom, width, height = axes.bbox.bounds  # in dots

    def in_points(places: Sequence[Point]) -> list[Point]:
        dots = (axes.transData.transform(place) for place in places)
        return [((x - left) * scale, (y - bottom) * scale) for x, y in dots]

    extent = (width * scale, height * scale)
    starts = in_points(anchors)
    boxes = places_apart(
        starts,
        [name_box(name) for name in names],
        extent,
        avoid=_along(in_points(curve)),
        nearest=nearest,
        lines_apart=bool(curve),
    )
    for anchor, start, name, box in zip(anchors, starts, names, boxes, strict=True):
        if box is None:
            continue
        offset = (box.x - start[0], box.y - start[1])
        # A line where a name is so far away that it could belong to something else.
        beyond = box.away_from(start)
        line = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 2}
        axes.annotate(
            name,
            anchor,
            xytext=offset,
            textcoords="offset points",
            ha="center",
            va="center",
            color=INK,
            gid=f"{CLASS}halo",
            arrowprops=line if beyond > nearest + STEP_POINTS else None,
        )
    return tuple(box is not None for box in boxes)


def _could_be_anothers(box: Box, anchor: Point, anchors: Sequence[Point], placed: Sequence[Box]) -> bool:
    """Whether a reader could take the name for that of another anchor, or lose the way to its own."""
    own = box.away_from(anchor)
    return any(box.away_from(other) < own for other in anchors if other != anchor) or any(
        one.holds(point) for one in placed for point in _way(anchor, box)
    )


def _along(curve: Sequence[Point]) -> list[Point]:
    """Points on a line through these, a point apart at most."""
    found = list(curve[:1])
    for (left, low), (right, high) in pairwise(curve):
        steps = int(math.hypot(right - left, high - low)) + 1
        parts = (step / steps for step in range(1, steps + 1))
        found += [(left + (right - left) * part, low + (high - low) * part) for part in parts]
    return found


def _way(anchor: Point, box: Box) -> list[Point]:
    """Points on the line from a box's edge to its anchor."""
    return [point for point in _along([(box.x, box.y), anchor]) if not box.holds(point)]


def _around(anchor: Point, room: Box, nearest: float, farthest: float) -> Iterator[Box]:
    """On the anchor, where names may stand there, then beside it, ring by ring."""
    if not nearest:
        yield Box(*anchor, room.width, room.height)
    for ring in range(int(farthest / STEP_POINTS)):
        away = nearest + ring * STEP_POINTS
        for step in range(DIRECTIONS):
            angle = 2 * math.pi * (step + 2) / DIRECTIONS  # to the upper right first
            # From the edge of the box: long names stand as near as short ones.
            x = anchor[0] + math.cos(angle) * (away + room.width / 2)
            y = anchor[1] + math.sin(angle) * (away + room.height / 2)
            yield Box(x, y, room.width, room.height)
