"""A column of outcomes says what a list of them would."""

from __future__ import annotations

import pytest

from kuaixun.schemas.dead_letter import DeadLetterReason
from kuaixun.worker.labelling import dead_letter
from kuaixun.worker.outcomes import TOMBSTONE, Labelled, Outcome, OutcomeCounts, Outcomes
from kuaixun.worker.records import Record

DEAD = dead_letter(Record("raw", 0, 1, None, b"{"), DeadLetterReason.INVALID_JSON, "no JSON", "1")
MIXED: list[Outcome] = [Labelled(b"a"), DEAD, Labelled(b""), TOMBSTONE, Labelled(b"b")]


def test_rows_are_the_outcomes() -> None:
    outcomes = Outcomes.of(MIXED)
    assert [*outcomes] == MIXED
    assert [outcomes[row] for row in range(-5, 5)] == MIXED * 2
    assert Outcomes.of(outcomes) is outcomes
    with pytest.raises(IndexError):
        outcomes[5]


@pytest.mark.parametrize("part", [slice(1, 4), slice(-2, None), slice(None, None, -1), slice(None, None, 2), slice(9)])
def test_a_part_is_that_part_of_the_rows(part: slice) -> None:
    assert [*Outcomes.of(MIXED)[part]] == MIXED[part]


@pytest.mark.parametrize("row", [0, 1, 3, -1])
@pytest.mark.parametrize("instead", [Labelled(b"new"), DEAD, TOMBSTONE])
def test_one_may_take_another_s_place(row: int, instead: Outcome) -> None:
    outcomes, rows = Outcomes.of(MIXED), [*MIXED]
    copy = outcomes.copy()
    outcomes[row] = rows[row] = instead
    assert [*outcomes] == rows
    assert [*copy] == MIXED


def test_dead_letters_come_in_the_order_of_their_rows() -> None:
    outcomes = Outcomes.of(MIXED)
    outcomes[4] = outcomes[0] = DEAD
    assert [row for row, _ in outcomes.dead_letters()] == [0, 1, 4]
    assert {letter for _, letter in outcomes.dead_letters()} == {DEAD.letter}


def test_those_that_stay_are_in_their_order() -> None:
    assert [*Outcomes.of(MIXED).where([True, False, False, True, True])] == [MIXED[0], MIXED[3], MIXED[4]]


def test_each_counts_as_what_it_is() -> None:
    counts = OutcomeCounts()
    for outcomes in (MIXED, Outcomes.of(MIXED), Outcomes()):
        counts.add(outcomes)
    assert (counts.labelled, counts.tombstones) == (6, 2)
    assert counts.dead_lettered == {DeadLetterReason.INVALID_JSON: 2}
