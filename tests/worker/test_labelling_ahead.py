"""Classifying ahead: whatever becomes of the records in between, each batch gets its own outcomes."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from kuaixun.worker.errors import EngineUnavailableError
from kuaixun.worker.labelling import BatchLabelling
from kuaixun.worker.labelling_ahead import MOST, LabellingAhead
from kuaixun.worker.outcomes import Labelled, Outcomes
from kuaixun.worker.records import Record, Records

PATIENCE_SECONDS = 60


def records(*offsets: int) -> Records:
    return Records.of([Record("raw", 0, offset, None, b"%d" % offset) for offset in offsets])


def expected(batch: Sequence[Record]) -> Outcomes:
    return Outcomes.of([Labelled(b"the label of %d" % record.offset) for record in batch])


class Desk:
    """Where batches are labelled; knows what was classified, and by which thread."""

    def __init__(self) -> None:
        self.classified: list[tuple[list[int], str]] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.error: Exception | None = None

    def read(self, batch: Records) -> BatchLabelling:
        return _Batch(self, batch)


class _Batch(BatchLabelling):
    def __init__(self, desk: Desk, batch: Records) -> None:
        self.records, self._desk, self._is_classified = batch, desk, False

    def classify(self) -> None:
        self._desk.classified.append(([record.offset for record in self.records], threading.current_thread().name))
        assert self._desk.may_go_on.wait(PATIENCE_SECONDS)
        self._is_classified = True

    def outcomes(self) -> Outcomes:
        assert self._is_classified
        if self._desk.error is not None:
            raise self._desk.error
        return expected(self.records)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def ahead(desk: Desk) -> Iterator[LabellingAhead]:
    with LabellingAhead(desk.read) as one:
        yield one


def test_what_was_begun_with_is_not_classified_again(ahead: LabellingAhead, desk: Desk) -> None:
    batch, more = records(1, 2), records(3)
    ahead.begin(batch)
    assert ahead.outcomes(batch) == expected(batch)
    assert ahead.outcomes(more) == expected(more)
    assert [offsets for offsets, _ in desk.classified] == [[1, 2], [3]]


def test_it_is_another_thread_that_classifies_ahead(ahead: LabellingAhead, desk: Desk) -> None:
    desk.may_go_on.clear()
    batch = records(1)
    ahead.begin(batch)  # comes back all the same
    desk.may_go_on.set()
    assert ahead.outcomes(batch) == expected(batch)
    [(_, name)] = desk.classified
    assert name.startswith("labelling-ahead")


@pytest.mark.parametrize(
    "handed_over",
    [
        pytest.param((2, 3), id="the first is another member's now"),
        pytest.param((1, 3), id="one in the middle is"),
        pytest.param((1, 2), id="fewer than were begun with"),
        pytest.param((1, 2, 3), id="the same, but read again"),
        pytest.param((7, 8, 9), id="all are read again from elsewhere"),
        pytest.param((), id="nothing is ours any more"),
    ],
)
def test_records_that_are_not_as_foreseen_get_their_own_outcomes(
    ahead: LabellingAhead, desk: Desk, handed_over: tuple[int, ...]
) -> None:
    ahead.begin(records(1, 2, 3))
    batch, after = records(*handed_over), records(4)
    assert ahead.outcomes(batch) == expected(batch)
    assert not ahead.is_at_work
    ahead.begin(after)
    assert ahead.outcomes(after) == expected(after)
    assert [offsets for offsets, _ in desk.classified] == [[1, 2, 3], *([[*handed_over]] if handed_over else []), [4]]


def test_without_anything_begun_it_labels_at_once_in_the_same_thread(ahead: LabellingAhead, desk: Desk) -> None:
    ahead.begin(Records())
    assert not ahead.is_at_work
    assert ahead.outcomes(records(1)) == expected(records(1))
    assert desk.classified == [([1], threading.current_thread().name)]


def test_with_time_before_their_turn_several_batches_are_made_ready_in_order(ahead: LabellingAhead, desk: Desk) -> None:
    batches = [records(1, 2), records(3), records(4, 5)]
    for batch in batches:
        ahead.begin(batch)
        assert ahead.is_at_work
        ahead.prepare()
        assert not ahead.is_at_work
    for batch in batches:
        assert ahead.outcomes(batch) == expected(batch)
    assert [offsets for offsets, _ in desk.classified] == [[1, 2], [3], [4, 5]]


def test_what_is_no_longer_ours_gives_way_to_what_was_begun_with_after_it(ahead: LabellingAhead, desk: Desk) -> None:
    stale, valid = [records(1, 2), records(3)], [records(2), records(3, 4)]
    for batch in (*stale, *valid):
        ahead.begin(batch)
        ahead.prepare()
    desk.classified.clear()
    for batch in valid:
        assert ahead.outcomes(batch) == expected(batch)
    assert desk.classified == []


def test_of_what_nobody_asks_for_not_much_is_kept(ahead: LabellingAhead, desk: Desk) -> None:
    batches = [records(number) for number in range(2 * MOST)]
    for batch in batches:
        ahead.begin(batch)
        ahead.prepare()
    desk.classified.clear()
    for batch in reversed(batches):
        assert ahead.outcomes(batch) == expected(batch)
    assert len(desk.classified) == 2 * MOST - 1, "the last one was kept, and those before it went with its turn"


def test_an_engine_that_fails_is_told_of_where_its_records_are_due(ahead: LabellingAhead, desk: Desk) -> None:
    desk.error = EngineUnavailableError("the device is gone")
    batch = records(1)
    ahead.begin(batch)
    with pytest.raises(EngineUnavailableError, match="the device is gone"):
        ahead.outcomes(batch)
    desk.error = None
    assert ahead.outcomes(batch) == expected(batch)
