"""Names on a plot never cover one another."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from kuaixun.trainer.report.label_places import Box, name_box, places_apart


@pytest.mark.parametrize("names", [["anger", "fear", "очень длинное имя"], [str(number) for number in range(1, 51)]])
def test_names_of_one_place_stand_apart_and_on_the_plot(names: list[str]) -> None:
    found = places_apart([(200.0, 150.0)] * len(names), [name_box(name) for name in names], (400.0, 300.0))

    boxes = [box for box in found if box]
    assert len(boxes) == len(names)
    assert not [pair for pair in combinations(boxes, 2) if pair[0].meets(pair[1])]
    assert all(box.is_within(400.0, 300.0) for box in boxes)
    assert (boxes[0].x, boxes[0].y) == (200.0, 150.0)  # the first stands on what it names


def test_names_that_cover_nothing_stay_where_they_are() -> None:
    anchors = [(100.0, 100.0), (300.0, 200.0)]

    found = places_apart(anchors, [name_box("a"), name_box("b")], (400.0, 300.0))

    assert [(box.x, box.y) for box in found if box] == anchors


def test_names_beside_a_curve_cover_neither_it_nor_a_line_to_another_name() -> None:
    curve = [(float(x), 200.0) for x in range(20, 380)]
    marks = [(30.0, 200.0), (36.0, 200.0), (42.0, 200.0), (48.0, 200.0)]
    rooms = [name_box(name) for name in ("0.80", "0.90", "0.95", "0.99")]

    found = places_apart(marks, rooms, (400.0, 300.0), avoid=curve, nearest=6.0, lines_apart=True)

    placed = [(mark, box) for mark, box in zip(marks, found, strict=True) if box]
    assert len(placed) >= 3
    for mark, box in placed:
        assert not any(box.holds(point) for point in curve)
        way = np.linspace((box.x, box.y), mark, 100).tolist()
        assert not [other for _, other in placed if other is not box and any(other.holds((x, y)) for x, y in way)]


def test_a_name_that_finds_no_room_is_left_out() -> None:
    assert places_apart([(5.0, 5.0)], [Box(0, 0, 50, 10)], (20.0, 20.0)) == (None,)
