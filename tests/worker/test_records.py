"""Columns of records say what the records say, whatever is taken of them."""

from __future__ import annotations

import pytest

from kuaixun.worker.records import Partition, Record, Records

MIXED = [
    Record("raw", 0, 7, b"k", b"v", (("h", b"1"),), 5),
    Record("raw", 1, 3, None, None),
    Record("other", 0, 1, b"", b"", (), 0, headers_unreadable=True),
    Record("raw", 0, 8, b"l", b"w", (), 6),
]


def test_rows_are_the_records() -> None:
    records = Records.of(MIXED)
    assert [*records] == MIXED
    assert len(records) == 4
    assert [records[0], records[-1]] == [MIXED[0], MIXED[-1]]
    assert Records.of(records) is records
    assert [*Records.of([])] == []
    with pytest.raises(IndexError):
        records[4]


@pytest.mark.parametrize("part", [slice(1, 3), slice(None, -1), slice(None, None, -1), slice(3, 1), slice(0, 99)])
def test_a_part_is_that_part_of_the_rows(part: slice) -> None:
    assert [*Records.of(MIXED)[part]] == MIXED[part]


def test_those_that_stay_are_in_their_order_and_all_of_them_are_the_same() -> None:
    records = Records.of(MIXED)
    assert [*records.where([False, True, False, True])] == [MIXED[1], MIXED[3]]
    assert records.where([True] * 4) is records


def test_what_is_appended_follows_and_what_it_was_taken_from_stays() -> None:
    first, second = Records.of(MIXED[:2]), Records.of(MIXED[2:])
    first.extend(second)
    assert [*first] == MIXED
    assert [*second] == MIXED[2:]


def test_offsets_are_by_partition_of_each_topic() -> None:
    assert Records.of(MIXED).topic is None
    assert Records.of(MIXED).last_offsets() == {
        Partition("raw", 0): 8,
        Partition("raw", 1): 3,
        Partition("other", 0): 1,
    }
    assert Records.of(MIXED).first_offsets()[Partition("raw", 0)] == 7
    of_one = Records.of([MIXED[0], MIXED[1], MIXED[3]])
    assert of_one.topic == "raw"
    assert of_one.last_offsets() == {Partition("raw", 0): 8, Partition("raw", 1): 3}
    assert of_one.first_offsets() == {Partition("raw", 0): 7, Partition("raw", 1): 3}
    assert Records().topic is None
    assert Records().last_offsets() == {}
