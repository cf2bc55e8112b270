"""The loop at its seams: what it commits when reports come late, in disorder, badly, or after a rebalance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from kuaixun.schemas.dead_letter import DeadLetterReason
from kuaixun.worker.delivery import at_least_once
from kuaixun.worker.delivery.at_least_once import AtLeastOnce
from kuaixun.worker.delivery.promise import Pace
from kuaixun.worker.errors import DeliveryFailedError, ShutdownBudgetError
from kuaixun.worker.kafka.read_ahead import ReadAhead
from kuaixun.worker.labels import Policy
from kuaixun.worker.loop import Loop
from kuaixun.worker.messages import Outgoing
from kuaixun.worker.outcomes import DeadLettered, Labelled, Outcome
from kuaixun.worker.records import Partition, Record, Records
from kuaixun.worker.routing import Partitioning, Routes, Target
from kuaixun.worker.stop import Stop
from kuaixun.worker.streams import QueueFullError, RefusedError, Report, TooLargeError
from tests.worker.fake_classifier import FakeClassifier
from tests.worker.one_by_one import OneByOne

ZERO, ONE = Partition("raw", 0), Partition("raw", 1)


def headline(offset: int, partition: int = 0, key: bytes | None = b"k") -> Record:
    return Record("raw", partition, offset, key, b'{"id": "%d", "title": "t"}' % offset)


@dataclass
class Clock:
    """Seconds, which pass when somebody waits."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeSource:
    """Hands out the turns of a script: batches, or something that happens instead of one; then asks to stop."""

    turns: list[list[Record] | Callable[[], None]]
    stop: Stop
    ahead: ReadAhead = field(default_factory=ReadAhead)
    commits: list[dict[Partition, int]] = field(default_factory=list)
    closed: bool = False
    joined: bool = False
    stays: int = 0
    leaves_in_time: bool = True

    def stay(self, max_records: int) -> None:
        self.stays += 1

    def batch(self, max_records: int, max_delay_seconds: float, idle_seconds: float) -> Records:
        assert not self.closed, "the client raises RuntimeError"
        if not self.ahead.is_shown:
            turn = self.turns.pop(0) if self.turns else self.stop.request
            if not isinstance(turn, list):
                turn()
                return Records()
            self.ahead.add(Records.of(turn))
        return self.ahead.take(self.ahead.rest)

    def upcoming(self, max_records: int) -> Records:
        turn = self.turns[0] if self.turns else None
        if not isinstance(turn, list):
            return Records()
        self.turns.pop(0)
        self.ahead.add(Records.of(turn))
        return self.ahead.show(self.ahead.rest)

    def commit(self, offsets: Mapping[Partition, int], *, last_chance: bool = False) -> None:
        assert not self.closed, "the client raises RuntimeError"
        self.commits.append(dict(offsets))

    def rewind(self, offsets: Mapping[Partition, int]) -> None:
        raise AssertionError(offsets)

    def committed(self, partitions: frozenset[Partition], timeout_seconds: float) -> Mapping[Partition, int]:
        raise AssertionError(partitions)

    def member(self) -> bytes:
        raise AssertionError

    def close(self, timeout_seconds: float) -> bool:
        self.closed = True
        return self.leaves_in_time


@dataclass
class FakeSink(OneByOne):
    """Keeps reports back until told; each wait costs a second of the clock."""

    clock: Clock
    at_once: bool = False
    limit: int = 1_000_000
    refusing: str = ""
    sent: list[Outgoing] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    closed: bool = False

    def send(self, message: Outgoing, report: Report) -> None:
        if len(message.value or b"") > self.limit:
            raise TooLargeError
        if message.topic == self.refusing:
            raise RefusedError("no record without a key")
        self.sent.append(message)
        self.reports.append(report)

    def poll(self, timeout_seconds: float) -> None:
        if self.at_once:
            self.confirm(*range(len(self.reports)))
        elif timeout_seconds:
            self.clock.now += 1

    def confirm(self, *indices: int) -> None:
        for index in indices:
            self.reports[index](None)
        self.reports = [report for i, report in enumerate(self.reports) if i not in indices]

    def close(self, timeout_seconds: float) -> None:
        self.closed = True


class Stage:
    """A loop with a script."""

    def __init__(
        self,
        *,
        at_once: bool = False,
        limit: int = 1_000_000,
        max_in_flight: int = 8,
        revoke_budget_seconds: float = 5,
    ) -> None:
        self.clock = Clock()
        self.stop = Stop(10.0, self.clock)
        self.source = FakeSource([], self.stop)
        self.sink = FakeSink(self.clock, at_once, limit)
        self.observed: list[list[Outcome]] = []
        self.turns: list[bool] = []
        self.successors: list[FakeClassifier] = []
        pace = Pace(
            max_batch=10,
            max_delay_seconds=0,
            max_in_flight=max_in_flight,
            commit_interval_seconds=0,
            revoke_budget_seconds=revoke_budget_seconds,
        )
        self.delivery = AtLeastOnce(
            self.source,
            self.sink,
            routes=Routes(Target("labelled", 4), Target("dead", 4)),
            pace=pace,
            stop=self.stop,
            worker_version="1",
            observer=lambda _records, outcomes: self.observed.append(list(outcomes)),
            monotonic=self.clock,
        )
        self.loop = Loop(
            self.source,
            FakeClassifier(),
            self.delivery,
            policy=Policy(confidence_threshold=0, top_scores=1, worker_version="1"),
            pace=pace,
            stop=self.stop,
            successor=lambda: self.successors.pop() if self.successors else None,
            turned=self.turns.append,
        )

    def play(self, *turns: list[Record] | Callable[[], None]) -> None:
        self.source.turns = list(turns)
        self.loop.run()

    @property
    def committed(self) -> dict[Partition, int]:
        """What the broker holds after all commits, the last one of a partition counting."""
        return {partition: offset for commit in self.source.commits for partition, offset in commit.items()}


def test_a_batch_confirmed_before_an_earlier_one_waits_for_it() -> None:
    stage = Stage()
    seen: list[dict[Partition, int]] = []

    def second_first() -> None:
        stage.sink.confirm(1)

    def look() -> None:
        seen.append(stage.committed)
        stage.sink.confirm(0)

    stage.play([headline(0)], [headline(1)], second_first, look)
    assert seen == [{}]
    assert stage.committed == {ZERO: 2}
    assert stage.source.closed
    assert stage.sink.closed


def test_every_turn_is_told_of_with_or_without_records() -> None:
    stage = Stage(at_once=True)

    def join() -> None:
        stage.source.joined = True

    stage.play([headline(0)], [], join)
    assert stage.turns == [False, False, True, True]


def test_a_model_takes_over_on_a_quiet_topic_too() -> None:
    stage, newer = Stage(at_once=True), FakeClassifier(model_id="newer")
    stage.successors.append(newer)

    def nothing_comes() -> None:
        assert stage.successors == [newer]

    def look() -> None:
        assert stage.successors == []

    stage.play(nothing_comes, look, [headline(0)])
    assert newer.calls == [1]


def test_a_failed_delivery_stops_the_worker_before_its_batch_is_committed() -> None:
    stage = Stage()

    def fail() -> None:
        stage.sink.confirm(0)
        stage.sink.reports[0](DeliveryFailedError("gone"))
        stage.sink.reports[1](None)

    with pytest.raises(DeliveryFailedError, match="gone"):
        stage.play([headline(0)], [headline(1), headline(2)], [headline(3)], fail)
    assert stage.committed == {ZERO: 1}
    assert stage.source.closed


def test_revoked_partitions_are_committed_as_far_as_confirmed_and_then_forgotten() -> None:
    stage = Stage()

    def revoke() -> None:
        stage.sink.confirm(0)
        stage.delivery.revoked(frozenset({ZERO}))
        assert stage.committed == {ZERO: 1}
        assert stage.clock.now >= 5, "the revoke budget was not waited for"

    def late_reports() -> None:
        stage.sink.confirm(0, 1)

    stage.play([headline(0)], [headline(1), headline(7, 1)], revoke, late_reports)
    assert stage.committed == {ZERO: 1, ONE: 8}


def test_a_revocation_waits_for_what_is_in_flight() -> None:
    stage = Stage()

    def revoke() -> None:
        stage.sink.at_once = True
        stage.delivery.revoked(frozenset({ZERO}))
        assert stage.committed == {ZERO: 1}

    stage.play([headline(0)], revoke)


def test_a_stop_in_the_midst_of_a_revocation_ends_it_within_the_budget() -> None:
    stage = Stage(revoke_budget_seconds=100)
    poll = stage.sink.poll

    def stopped_at_the_third(timeout_seconds: float) -> None:
        poll(timeout_seconds)
        if stage.clock.now == 3:
            stage.stop.request()

    def revoke() -> None:
        stage.sink.poll = stopped_at_the_third  # type: ignore[method-assign]
        stage.delivery.revoked(frozenset({ZERO}))

    with pytest.raises(ShutdownBudgetError):
        stage.play([headline(0)], revoke)
    assert 3 < stage.clock.now <= 3 + stage.stop.budget_seconds
    assert stage.committed == {}


def test_nothing_of_lost_partitions_is_committed() -> None:
    stage = Stage()

    def lose() -> None:
        stage.delivery.lost(frozenset({ZERO}))
        stage.sink.confirm(0, 1)

    stage.play([headline(0), headline(4, 1)], lose)
    assert stage.committed == {ONE: 5}


def test_a_stop_with_reports_outstanding_ends_within_the_budget_and_commits_the_confirmed() -> None:
    stage = Stage()
    with pytest.raises(ShutdownBudgetError):
        stage.play([headline(0)], [headline(1)], lambda: stage.sink.confirm(0))
    assert stage.committed == {ZERO: 1}
    assert stage.clock.now <= 10.0
    assert stage.source.closed


def test_a_worker_that_cannot_leave_the_group_or_commit_at_last_says_so() -> None:
    stage = Stage(at_once=True)
    stage.source.leaves_in_time = False
    with pytest.raises(ShutdownBudgetError, match="last offsets were not confirmed"):
        stage.play([headline(0)])
    assert stage.sink.closed


def test_what_ended_a_worker_is_told_rather_than_how_it_left() -> None:
    stage = Stage()
    stage.source.leaves_in_time = False
    with pytest.raises(DeliveryFailedError, match="gone"):
        stage.play([headline(0)], lambda: stage.sink.reports[0](DeliveryFailedError("gone")))


def _most_awaited(stage: Stage, batches: list[list[Record]]) -> int:
    """The most headlines that awaited a report while batches were there to read; where the loop waits, one comes."""
    waited = stage.sink.poll
    most = 0

    def poll(timeout_seconds: float) -> None:
        nonlocal most
        most = max(most, len(stage.sink.reports))
        waited(timeout_seconds)
        if timeout_seconds:
            stage.sink.confirm(*range(len(stage.sink.reports) if stage.stop.requested else 1))

    stage.sink.poll = poll  # type: ignore[method-assign]
    stage.play(*batches)
    assert stage.committed == {ZERO: sum(map(len, batches))}
    return most


def test_no_more_headlines_are_in_flight_than_allowed() -> None:
    pairs = [[headline(offset), headline(offset + 1)] for offset in range(0, 12, 2)]
    assert _most_awaited(Stage(max_in_flight=4), pairs) == 4


def test_small_batches_wait_for_no_confirmation_while_few_headlines_are_in_flight() -> None:
    singles = [[headline(offset)] for offset in range(40)]
    assert _most_awaited(Stage(max_in_flight=100), singles) == 40


def test_small_batches_are_no_more_in_flight_than_memory_is_meant_to_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_least_once, "MOST_FLIGHTS", 3)
    singles = [[headline(offset)] for offset in range(6)]
    assert _most_awaited(Stage(max_in_flight=100), singles) == 3


def test_an_outcome_too_large_is_replaced_before_anything_past_it_is_committed() -> None:
    stage = Stage(at_once=True, limit=200)
    stage.play([headline(0)])
    ((outcome,),) = stage.observed
    assert isinstance(outcome, DeadLettered)
    assert outcome.letter.reason is DeadLetterReason.OUTPUT_TOO_LARGE
    assert [message.topic for message in stage.sink.sent] == ["dead"]
    assert stage.committed == {ZERO: 1}


def test_an_outcome_that_the_topic_refuses_is_a_dead_letter_with_a_reason_of_its_own() -> None:
    stage = Stage(at_once=True)
    stage.sink.refusing = "labelled"
    stage.play([headline(0), Record("raw", 0, 1, None, None)])
    ((labelled, tombstone),) = stage.observed
    assert isinstance(labelled, DeadLettered)
    assert isinstance(tombstone, DeadLettered)
    assert labelled.letter.reason is tombstone.letter.reason is DeadLetterReason.OUTPUT_REFUSED
    assert labelled.letter.message.endswith("no record without a key")
    assert "the tombstone" in tombstone.letter.message
    assert stage.committed == {ZERO: 2}


def test_a_dead_letter_that_its_topic_refuses_stops_the_worker() -> None:
    stage = Stage(at_once=True)
    stage.sink.refusing = "dead"
    with pytest.raises(DeliveryFailedError, match=r"raw\[0\]@0.*no record without a key"):
        stage.play([Record("raw", 0, 0, b"k", b"{")])
    assert stage.committed == {}


def test_a_stop_with_a_full_queue_ends_within_the_budget_and_commits_the_confirmed() -> None:
    stage = Stage()

    def send(message: Outgoing, report: Report) -> None:
        stage.stop.request()
        raise QueueFullError

    def fill() -> None:
        stage.sink.confirm(0)
        stage.sink.send = send  # type: ignore[method-assign]

    with pytest.raises(ShutdownBudgetError):
        stage.play([headline(0)], fill, [headline(1)])
    assert stage.committed == {ZERO: 1}
    assert stage.clock.now <= 10.0
    assert stage.source.closed


def test_a_revocation_does_not_wait_longer_than_its_budget_for_an_outcome_written_again() -> None:
    stage = Stage()

    def revoke() -> None:
        stage.sink.reports.pop(0)(TooLargeError())
        stage.delivery.revoked(frozenset({ZERO}))
        assert stage.clock.now <= 5 + 1, "one wait past the budget at most"
        assert stage.committed == {}
        stage.sink.at_once = True

    stage.play([headline(0)], revoke)
    assert stage.committed == {}


def test_a_position_chosen_anew_is_committed_whatever_is_in_flight() -> None:
    stage = Stage(at_once=False)

    def reposition() -> None:
        stage.delivery.positioned({ZERO: 40})
        stage.sink.confirm(0)

    stage.play([headline(90)], reposition)
    assert stage.committed == {ZERO: 40}


def test_a_dead_letter_that_cannot_be_written_at_all_stops_the_worker() -> None:
    stage = Stage(at_once=True, limit=-1)
    with pytest.raises(DeliveryFailedError, match=r"raw\[0\]@0"):
        stage.play([headline(0)])
    assert stage.committed == {}


@pytest.mark.parametrize(
    ("partitioning", "key", "partition"),
    [
        (Partitioning.SOURCE, b"k", 1),
        (Partitioning.SOURCE, None, 1),
        (Partitioning.KEY, b"k", None),
        (Partitioning.KEY, None, 1),
    ],
)
def test_the_partition_follows_the_source_or_the_key(
    partitioning: Partitioning, key: bytes | None, partition: int | None
) -> None:
    stage = Stage(at_once=True)
    stage.play([headline(0)])
    ((outcome,),) = stage.observed
    assert isinstance(outcome, Labelled)
    routes = Routes(Target("labelled", 4), Target("dead", 1), partitioning)
    assert routes.address(headline(0, partition=5, key=key), outcome).partition == partition
