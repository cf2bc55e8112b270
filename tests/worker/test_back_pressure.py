"""A producer without room stops the reading, not the worker: it stays in the group, and the memory is bounded."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from kuaixun.worker.delivery.at_least_once import AtLeastOnce
from kuaixun.worker.delivery.exactly_once import ExactlyOnce
from kuaixun.worker.delivery.promise import Delivery, Guarantee, Pace
from kuaixun.worker.kafka.sink import KafkaSink
from kuaixun.worker.labels import Policy
from kuaixun.worker.loop import Loop
from kuaixun.worker.messages import Outgoing
from kuaixun.worker.records import Partition, Record, Records
from kuaixun.worker.routing import Routes, Target
from kuaixun.worker.stop import Stop
from kuaixun.worker.streams import NO_NOTES, AbortableError, QueueFullError, Report
from tests.worker.fake_classifier import FakeClassifier
from tests.worker.one_by_one import OneByOne
from tests.worker.running import running_worker
from tests.worker.test_contract import assert_each_once, assert_in_order, many
from tests.worker.test_loop import ONE, ZERO, Clock, FakeSink, FakeSource, headline
from tests.worker.topics import Topics

ROOM = 3
TRANSACTION_SECONDS = 300
POLL_SECONDS = 6  # no less than a session lasts


@dataclass
class PatientSource(FakeSource):
    """Does something each time it is asked to stay."""

    on_stay: Callable[[], None] = lambda: None
    batches: int = 0
    rewinds: list[dict[Partition, int]] = field(default_factory=list)

    def batch(self, max_records: int, max_delay_seconds: float, idle_seconds: float) -> Records:
        self.batches += 1
        return super().batch(max_records, max_delay_seconds, idle_seconds)

    def stay(self, max_records: int) -> None:
        super().stay(max_records)
        self.on_stay()

    def rewind(self, offsets: Mapping[Partition, int]) -> None:
        self.rewinds.append(dict(offsets))

    def member(self) -> bytes:
        return b"me"


@dataclass
class NarrowSink(FakeSink):
    """Holds ROOM messages at once; keeps what was sent when transactions were committed, and aborted."""

    room: int = ROOM
    commits: list[tuple[dict[Partition, int], int]] = field(default_factory=list)
    aborts: int = 0

    def send(self, message: Outgoing, report: Report) -> None:
        if len(self.reports) >= self.room:
            raise QueueFullError
        super().send(message, report)

    @property
    def waiting(self) -> int:
        return len(self.reports)

    def begin(self) -> None:
        """There is nothing to open."""

    def flush(self, timeout_seconds: float) -> bool:
        self.poll(timeout_seconds)
        return not self.reports

    def commit(
        self,
        offsets: Mapping[Partition, int],
        member: bytes,
        timeout_seconds: float,
        notes: Mapping[Partition, str] = NO_NOTES,
    ) -> None:
        self.commits.append((dict(offsets), len(self.sent)))

    def abort(self, timeout_seconds: float) -> None:
        self.aborts += 1
        self.reports.clear()

    def renew(self, timeout_seconds: float) -> None:
        raise AssertionError


class Stage:
    """A loop of either guarantee."""

    def __init__(self, guarantee: Guarantee) -> None:
        self.clock = Clock()
        self.stop = Stop(1000.0, self.clock)
        self.source = PatientSource([], self.stop)
        self.sink = NarrowSink(self.clock)
        self.sent_by_turn: list[int] = []
        pace = Pace(
            max_batch=10,
            max_delay_seconds=0,
            max_in_flight=8,
            commit_interval_seconds=0,
            revoke_budget_seconds=5,
            transaction_interval_seconds=0.1,
            transaction_timeout_seconds=TRANSACTION_SECONDS,
        )
        routes = Routes(Target("labelled", 4), Target("dead", 4))
        kind = AtLeastOnce if guarantee is Guarantee.AT_LEAST_ONCE else ExactlyOnce
        self.delivery: Delivery = kind(
            self.source, self.sink, routes=routes, pace=pace, stop=self.stop, worker_version="1", monotonic=self.clock
        )
        policy = Policy(confidence_threshold=0, top_scores=1, worker_version="1")
        self.loop = Loop(
            self.source,
            FakeClassifier(),
            self.delivery,
            policy=policy,
            pace=pace,
            stop=self.stop,
            turned=lambda _ready: self.sent_by_turn.append(len(self.sink.sent)),
        )

    def play(self, *turns: list[Record] | Callable[[], None]) -> None:
        self.source.turns = list(turns)
        self.loop.run()

    @property
    def committed(self) -> dict[Partition, int]:
        """What is committed in the end, whichever client did it."""
        commits = [*self.source.commits, *(offsets for offsets, _ in self.sink.commits)]
        return {partition: offset for commit in commits for partition, offset in commit.items()}


@pytest.mark.parametrize("guarantee", Guarantee)
def test_nothing_is_read_while_there_is_no_room_and_the_place_in_the_group_is_kept(guarantee: Guarantee) -> None:
    stage = Stage(guarantee)

    def take_some() -> None:
        assert stage.source.batches == 1, "a batch was read while another waited for room"
        assert len(stage.sink.reports) <= ROOM
        if stage.source.stays == 50:
            stage.sink.at_once = True
            stage.source.on_stay = lambda: None
        elif stage.source.stays % 10 == 0:
            stage.sink.confirm(0)

    stage.source.on_stay = take_some
    stage.play([headline(offset) for offset in range(10)], [headline(offset) for offset in range(10, 20)])
    assert stage.source.stays >= 50
    assert len(stage.sent_by_turn) >= 50, "the loop must turn while it waits"
    assert [b'"offset":%d}' % offset in (stage.sink.sent[offset].value or b"") for offset in range(20)] == [True] * 20
    assert len(stage.sink.sent) == 20
    assert stage.committed == {ZERO: 20}
    assert stage.delivery.counts.labelled == 20


def two_partitions() -> list[Record]:
    return [headline(offset, partition) for offset in range(5) for partition in (0, 1)]


def test_what_waits_for_room_is_left_to_the_next_owner_of_its_partition() -> None:
    stage = Stage(Guarantee.AT_LEAST_ONCE)

    def lose_zero() -> None:
        stage.source.on_stay = lambda: None
        stage.delivery.revoked(frozenset({ZERO}))
        stage.sink.at_once = True

    stage.source.on_stay = lose_zero
    stage.play(two_partitions())
    assert [message.partition for message in stage.sink.sent] == [0, 1, 0, 1, 1, 1, 1]
    assert stage.committed == {ONE: 5}
    assert stage.delivery.counts.labelled == 7


def test_a_revocation_first_sends_what_waits_for_room_where_there_is_time() -> None:
    stage = Stage(Guarantee.AT_LEAST_ONCE)

    def lose_zero() -> None:
        stage.source.on_stay = lambda: None
        stage.sink.at_once = True
        stage.delivery.revoked(frozenset({ZERO}))
        assert stage.committed == {ZERO: 5, ONE: 5}

    stage.source.on_stay = lose_zero
    stage.play(two_partitions())
    assert len(stage.sink.sent) == 10


@pytest.mark.parametrize("room_comes", [True, False])
def test_a_transaction_never_commits_a_batch_of_which_a_part_still_waits_for_room(room_comes: bool) -> None:
    stage = Stage(Guarantee.EXACTLY_ONCE)

    def lose_zero() -> None:
        stage.source.on_stay = lambda: None
        stage.sink.at_once = room_comes
        stage.delivery.revoked(frozenset({ZERO}))
        stage.sink.at_once = True

    stage.source.on_stay = lose_zero
    stage.play(two_partitions())
    if room_comes:
        assert stage.sink.commits == [({ZERO: 5, ONE: 5}, 10)]
    else:
        assert (stage.sink.commits, stage.sink.aborts) == ([], 1)
        assert stage.source.rewinds == [{ZERO: 0, ONE: 0}]


def test_a_transaction_that_finds_no_room_is_undone_before_the_brokers_end_it() -> None:
    stage = Stage(Guarantee.EXACTLY_ONCE)
    stage.source.on_stay = lambda: None

    def stop_once_undone() -> None:
        assert stage.clock.now < TRANSACTION_SECONDS
        assert stage.source.rewinds == [{ZERO: 0}]

    stage.play([headline(offset) for offset in range(10)], stop_once_undone)
    assert (stage.sink.commits, stage.sink.aborts) == ([], 1)


def test_records_of_a_transaction_that_cannot_begin_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(Guarantee.EXACTLY_ONCE)

    def refuse() -> None:
        raise AbortableError("not now")

    monkeypatch.setattr(stage.sink, "begin", refuse)
    stage.play([headline(0)], lambda: None)
    assert stage.source.rewinds == [{ZERO: 0}]
    assert stage.committed == {}


def test_the_loop_turns_between_outcomes_that_are_written_again_one_by_one() -> None:
    stage = Stage(Guarantee.AT_LEAST_ONCE)
    stage.sink.room, stage.sink.limit = 100, 200
    poll = stage.sink.poll

    def slow(timeout_seconds: float) -> None:
        poll(timeout_seconds)
        if timeout_seconds:
            stage.sink.confirm(*range(len(stage.sink.reports)))

    stage.sink.poll = slow  # type: ignore[method-assign]
    stage.play([headline(offset) for offset in range(5)], *([] for _ in range(10)))
    assert len(stage.sink.sent) == 5
    assert stage.committed == {ZERO: 5}
    turns = stage.sent_by_turn
    assert max(later - earlier for earlier, later in itertools.pairwise(turns)) == 1


def test_a_worker_without_room_for_longer_than_the_group_waits_stays_in_the_group(
    kafka_topics: Callable[..., Topics], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    full = threading.Event()
    send = KafkaSink.send

    def held(sink: KafkaSink, message: Outgoing, report: Report) -> None:
        if full.is_set():
            raise QueueFullError
        send(sink, message, report)

    monkeypatch.setattr(KafkaSink, "send", held)
    monkeypatch.setattr(KafkaSink, "send_all", OneByOne.send_all)
    topics = kafka_topics()
    settings = topics.settings(
        max_batch=20,
        outage_seconds=5,
        transaction_timeout_seconds=5,
        consumer={**topics.session(), "max.poll.interval.ms": str(POLL_SECONDS * 1000)},
    )
    with running_worker(settings) as worker:
        topics.write(many(40))
        topics.read(topics.output, 40)
        full.set()
        topics.write(many(400, 40))
        time.sleep(1.5 * POLL_SECONDS)
        full.clear()
        labelled = topics.read(topics.output, 440)
    assert not [line for line in caplog.messages if "silent for too long" in line or "lost to another" in line]
    assert worker.counts.consumed == 440
    assert_each_once(labelled, 440)
    assert_in_order(labelled)
