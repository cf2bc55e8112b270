"""Transactions at their seams: what is read again, what is committed, and for how long, where one is spoilt."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from kuaixun.worker.delivery.exactly_once import ExactlyOnce
from kuaixun.worker.delivery.promise import Pace
from kuaixun.worker.errors import BrokerUnreachableError, DeliveryFailedError, ShutdownBudgetError, WorkerError
from kuaixun.worker.labels import Policy
from kuaixun.worker.loop import Loop
from kuaixun.worker.messages import Outgoing
from kuaixun.worker.records import Partition, Record, Records
from kuaixun.worker.routing import Routes, Target
from kuaixun.worker.stop import Stop
from kuaixun.worker.streams import (
    NO_NOTES,
    AbortableError,
    EndUnknownError,
    RefusedAlongError,
    RefusedError,
    Report,
    TooLargeError,
)
from tests.worker.fake_classifier import FakeClassifier
from tests.worker.one_by_one import OneByOne
from tests.worker.test_loop import ONE, ZERO, Clock, headline

OUTAGE_SECONDS = 120.0
TIMEOUT_SECONDS = 30.0
BUDGET_SECONDS = 5.0
PATIENCE_SECONDS = 60
Turn = list[Record] | Callable[[], None]


@dataclass
class Topic:
    """A source that reads its records again where it is told to, and the group's offsets. Ends with its script."""

    stop: Stop
    records: list[Record] = field(default_factory=list)
    script: list[Callable[[], None]] = field(default_factory=list)
    positions: dict[Partition, int] = field(default_factory=dict)
    stored: dict[Partition, int] = field(default_factory=dict)
    rewinds: list[dict[Partition, int]] = field(default_factory=list)
    joined: bool = True
    leaves_in_time: bool = True
    on_stay: list[Callable[[], None]] = field(default_factory=list)
    _shown: list[Records] = field(default_factory=list)

    def batch(self, max_records: int, max_delay_seconds: float, idle_seconds: float) -> Records:
        found = self._shown.pop(0) if self._shown else self._next(max_records)
        for record in found:
            self.positions[Partition(record.topic, record.partition)] = record.offset + 1
        if not found:
            (self.script.pop(0) if self.script else self.stop.request)()
        return found

    def upcoming(self, max_records: int) -> Records:
        found = self._next(max_records)
        if found:
            self._shown.append(found)
        return found

    def _next(self, max_records: int) -> Records:
        positions, shown = self.positions, sum(map(len, self._shown))
        left = [r for r in self.records if r.offset >= positions.get(Partition(r.topic, r.partition), 0)]
        return Records.of(left[shown : shown + max_records])

    def leave(self) -> None:
        """All of it goes to another member."""
        self.records = []
        self._shown.clear()

    def stay(self, max_records: int) -> None:
        if self.on_stay:
            self.on_stay.pop()()

    def commit(self, offsets: Mapping[Partition, int], *, last_chance: bool = False) -> None:
        raise AssertionError(offsets)

    def rewind(self, offsets: Mapping[Partition, int]) -> None:
        self.rewinds.append(dict(offsets))
        self.positions |= offsets
        self._shown.clear()

    def committed(self, partitions: frozenset[Partition], timeout_seconds: float) -> Mapping[Partition, int]:
        return {partition: self.stored[partition] for partition in partitions if partition in self.stored}

    def member(self) -> bytes:
        return b"me"

    def close(self, timeout_seconds: float) -> bool:
        return self.leaves_in_time


@dataclass
class Broker(OneByOne):
    """A sink that refuses what it is told to, with all that was sent with it, and says how a transaction ends."""

    clock: Clock
    topic: Topic
    refused: set[bytes] = field(default_factory=set)
    along: type[RefusedError] = TooLargeError
    silent: bool = False
    abort_is_heard: bool = True
    renew_seconds: float = 0.0
    open: bool = False
    written: list[Outgoing] = field(default_factory=list)
    visible: list[Outgoing] = field(default_factory=list)
    pending: list[tuple[Outgoing, Report]] = field(default_factory=list)
    on_commit: list[Callable[[], None]] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    limits: list[float] = field(default_factory=list)

    def send(self, message: Outgoing, report: Report) -> None:
        assert self.open
        self.written.append(message)
        self.pending.append((message, report))

    @property
    def waiting(self) -> int:
        return len(self.pending)

    def poll(self, timeout_seconds: float) -> None:
        self.clock.now += timeout_seconds

    def begin(self) -> None:
        assert not self.open
        self.open = True

    def flush(self, timeout_seconds: float) -> bool:
        self.calls["flush"] += 1
        if self.silent:
            self.clock.now += timeout_seconds
            return False
        self._report()
        return True

    def _report(self) -> None:
        pending, self.pending = self.pending, []
        guilty = [m for m, _ in pending if m.topic == "labelled" and (m.key or b"") in self.refused]
        for message, report in pending if guilty else ():
            if message in guilty:
                report(RefusedError("no") if self.along is RefusedAlongError else self.along("no"))
            else:
                report(self.along("no"))

    def commit(
        self,
        offsets: Mapping[Partition, int],
        member: bytes,
        timeout_seconds: float,
        notes: Mapping[Partition, str] = NO_NOTES,
    ) -> None:
        self.calls["commit"] += 1
        if self.on_commit:
            self.on_commit.pop(0)()
        self.topic.stored |= offsets
        self.visible += self.written
        self.written = []
        self.open = False

    def abort(self, timeout_seconds: float) -> None:
        self.calls["abort"] += 1
        self.limits.append(timeout_seconds)
        if not self.abort_is_heard:
            self.clock.now += timeout_seconds
            raise EndUnknownError("no answer")
        self._report()
        self.written, self.open = [], False

    def renew(self, timeout_seconds: float) -> None:
        self.calls["renew"] += 1
        self.limits.append(timeout_seconds)
        self.clock.now += min(timeout_seconds, self.renew_seconds)
        if self.renew_seconds > timeout_seconds:
            raise BrokerUnreachableError("no answer")
        self.written, self.open, self.pending = [], False, []

    def close(self, timeout_seconds: float) -> None:
        pass


class Stage:
    """A loop that labels a topic exactly once."""

    def __init__(
        self,
        records: Sequence[Record] = (),
        max_batch: int = 1000,
        interval_seconds: float = 0.0,
        revoke_budget_seconds: float = BUDGET_SECONDS,
    ) -> None:
        self.clock = Clock()
        self.stop = Stop(20.0, self.clock)
        self.topic = Topic(self.stop, list(records))
        self.broker = Broker(self.clock, self.topic)
        pace = Pace(
            max_batch=max_batch,
            max_delay_seconds=0,
            max_in_flight=8,
            commit_interval_seconds=0,
            revoke_budget_seconds=revoke_budget_seconds,
            transaction_interval_seconds=interval_seconds,
            transaction_timeout_seconds=TIMEOUT_SECONDS,
            outage_seconds=OUTAGE_SECONDS,
        )
        self.delivery = ExactlyOnce(
            self.topic,
            self.broker,
            routes=Routes(Target("labelled", 1), Target("dead", 1)),
            pace=pace,
            stop=self.stop,
            worker_version="1",
            monotonic=self.clock,
        )
        self.loop = Loop(
            self.topic,
            FakeClassifier(),
            self.delivery,
            policy=Policy(confidence_threshold=0, top_scores=1, worker_version="1"),
            pace=pace,
            stop=self.stop,
        )

    def play(self, *turns: Callable[[], None]) -> None:
        """Label all there is, then take each turn of the script on a quiet topic, then stop."""
        self.topic.script = list(turns)
        self.loop.run()


def keyed(count: int) -> list[Record]:
    return [headline(offset, key=b"%d" % offset) for offset in range(count)]


def spoil() -> None:
    raise AbortableError("rebalance")


def unknown() -> None:
    raise EndUnknownError("no answer")


@pytest.mark.parametrize("along", [TooLargeError, RefusedAlongError])
def test_hundreds_of_refused_records_cost_a_transaction_each_and_nothing_twice(along: type[RefusedError]) -> None:
    stage = Stage(keyed(1000))
    stage.broker.refused = {b"%d" % offset for offset in range(0, 1000, 3)}
    stage.broker.along = along
    stage.play()
    topics = {message.key: message.topic for message in stage.broker.visible}
    assert [message.key for message in stage.broker.visible] == [record.key for record in keyed(1000)]
    assert all((topic == "dead") is (key in stage.broker.refused) for key, topic in topics.items())
    assert stage.topic.stored == {ZERO: 1000}
    assert stage.delivery.counts.consumed == 2000, "one time to learn who may be at fault, one to write"
    assert stage.broker.calls["flush"] < 4 * 1000
    if along is RefusedAlongError:
        assert stage.broker.calls["commit"] < 3 * len(stage.broker.refused), "who is known to be innocent goes along"


def test_what_a_worker_learns_of_refused_records_starts_the_clock_of_its_failures_anew() -> None:
    stage = Stage(keyed(300))
    stage.broker.refused = {b"%d" % offset for offset in range(300)}
    abort = stage.broker.abort

    def slow(timeout_seconds: float) -> None:
        stage.clock.now += 1
        abort(timeout_seconds)

    stage.broker.abort = slow  # type: ignore[method-assign]
    stage.play()
    assert stage.clock.now > 2 * OUTAGE_SECONDS
    assert {message.topic for message in stage.broker.visible} == {"dead"}
    assert stage.topic.stored == {ZERO: 300}


def test_a_transaction_that_fails_for_longer_than_an_outage_ends_the_worker() -> None:
    stage = Stage(keyed(3))

    def late() -> None:
        stage.clock.now += OUTAGE_SECONDS / 10
        raise AbortableError("rebalance")

    stage.broker.on_commit = [late] * 100
    with pytest.raises(DeliveryFailedError, match="rebalance"):
        stage.play()
    assert stage.clock.now < 1.5 * OUTAGE_SECONDS
    assert stage.topic.stored == {}


@pytest.mark.parametrize("since", ["its partitions have left", "nothing came"])
def test_a_transaction_that_failed_long_ago_does_not_end_the_worker_at_the_next_failure(since: str) -> None:
    stage = Stage(keyed(3))
    stage.broker.on_commit = [spoil]

    def forget_them() -> None:
        # Gone before they are read again.
        stage.topic.leave()

    rewind = stage.topic.rewind

    def gone(offsets: Mapping[Partition, int]) -> None:
        rewind(offsets)
        forget_them()

    stage.topic.rewind = gone  # type: ignore[method-assign]

    def hours_later() -> None:
        if since == "its partitions have left":
            stage.delivery.revoked(frozenset({ZERO}))
            stage.clock.now -= OUTAGE_SECONDS  # in which case it need not be long ago
        stage.clock.now += 2 * OUTAGE_SECONDS
        stage.topic.rewind = rewind  # type: ignore[method-assign]
        stage.topic.records = [headline(offset, 1) for offset in range(3)]
        stage.broker.on_commit = [spoil]

    stage.play(hours_later, lambda: None)
    assert stage.topic.stored == {ONE: 3}


@pytest.mark.parametrize("end", [spoil, unknown])
def test_a_position_chosen_anew_outlives_the_transaction_that_would_have_committed_it(end: Callable[[], None]) -> None:
    stage = Stage()
    stage.broker.on_commit = [end]
    stage.play(lambda: stage.delivery.positioned({ZERO: 40}), *[lambda: None] * 3)
    assert stage.broker.calls["commit"] == 2
    assert stage.topic.stored == {ZERO: 40}


def test_a_position_not_yet_committed_is_as_its_partition_leaves() -> None:
    stage = Stage()

    def choose_and_leave() -> None:
        stage.delivery.positioned({ZERO: 40, ONE: 50})
        stage.delivery.revoked(frozenset({ZERO}))
        assert stage.topic.stored[ZERO] == 40

    stage.play(choose_and_leave)


@pytest.mark.parametrize("end", [spoil, unknown])
def test_what_lies_before_a_position_chosen_anew_is_not_read_again(end: Callable[[], None]) -> None:
    stage = Stage([headline(90), headline(7, 1)], interval_seconds=10.0)
    stage.topic.stored = {ZERO: 90, ONE: 7}

    def choose() -> None:
        stage.delivery.positioned({ZERO: 400})
        stage.topic.records = [headline(7, 1), headline(401)]
        stage.topic.positions[ZERO] = 400

    def fail() -> None:
        stage.clock.now += 10
        stage.broker.on_commit = [end]

    stage.play(choose, fail, lambda: None)
    assert stage.topic.rewinds == [{ZERO: 401, ONE: 7}]
    assert stage.topic.stored == {ZERO: 402, ONE: 8}


def test_a_revocation_ends_within_its_budget_whatever_does_not_answer() -> None:
    stage = Stage(keyed(3), interval_seconds=100.0)
    stage.broker.silent = True
    stage.broker.abort_is_heard = False

    def revoke() -> None:
        began_at = stage.clock.now
        try:
            stage.delivery.revoked(frozenset({ZERO}))
        finally:
            assert stage.clock.now <= began_at + BUDGET_SECONDS

    with pytest.raises(DeliveryFailedError, match=r"raw\[0\] went to another member"):
        stage.play(revoke)
    assert stage.broker.calls["renew"] == 0
    assert stage.topic.stored == {}


def test_a_revocation_of_what_is_not_confirmed_in_time_undoes_it() -> None:
    stage = Stage(keyed(3), interval_seconds=100.0)
    stage.broker.silent = True

    def revoke() -> None:
        stage.delivery.revoked(frozenset({ZERO}))
        assert stage.clock.now <= BUDGET_SECONDS
        assert stage.broker.calls["abort"] == 1
        stage.broker.silent, stage.topic.records = False, []

    stage.play(revoke)
    assert (stage.broker.visible, stage.topic.stored) == ([], {})


def test_a_revocation_among_records_written_apart_ends_within_its_budget() -> None:
    stage = Stage(keyed(5))
    stage.broker.refused = {b"%d" % offset for offset in range(5)}

    def slow() -> None:
        stage.clock.now += 2

    def revoke() -> None:
        if not stage.broker.calls["abort"]:  # it is the end of the first attempt that the loop waits for
            stage.topic.on_stay = [revoke]
            return
        began_at = stage.clock.now
        stage.broker.silent = True
        stage.delivery.revoked(frozenset({ZERO}))
        assert stage.clock.now <= began_at + BUDGET_SECONDS
        stage.broker.silent, stage.topic.records = False, []

    stage.broker.on_commit = [slow] * 5
    stage.topic.on_stay = [revoke]
    stage.play()
    assert not stage.topic.on_stay, "the loop turns between records written apart"
    assert stage.topic.stored == {ZERO: 2}


def test_a_stop_in_the_midst_of_a_revocation_of_a_transaction_ends_it_within_the_budget() -> None:
    stage = Stage(keyed(3), interval_seconds=100.0, revoke_budget_seconds=1000.0)
    flush = stage.broker.flush
    stage.broker.silent = True

    def stopped_at_the_third(timeout_seconds: float) -> bool:
        if stage.broker.calls["flush"] == 3:
            stage.stop.request()
        return flush(timeout_seconds)

    stage.broker.flush = stopped_at_the_third  # type: ignore[method-assign]

    def revoke() -> None:
        stage.delivery.revoked(frozenset({ZERO}))
        assert stage.stop.requested
        assert stage.clock.now <= 3 + stage.stop.budget_seconds

    stage.play(revoke)
    assert stage.topic.stored == {}


@pytest.mark.parametrize(("renew_seconds", "ends_with"), [(2.0, None), (50.0, ShutdownBudgetError)])
def test_a_stop_beside_an_unknown_end_waits_for_a_new_producer_as_long_as_there_is_time(
    renew_seconds: float, ends_with: type[WorkerError] | None
) -> None:
    stage = Stage(keyed(3), interval_seconds=100.0)
    stage.broker.renew_seconds = renew_seconds

    def unknown_though_done() -> None:
        stage.topic.stored = {ZERO: 3}
        raise EndUnknownError("no answer")

    def stop() -> None:
        stage.stop.request()
        stage.broker.on_commit = [unknown_though_done]

    if ends_with is None:
        stage.play(stop)
        assert stage.delivery.counts.labelled == 3
    else:
        with pytest.raises(ends_with):
            stage.play(stop)
    assert stage.clock.now <= stage.stop.budget_seconds


def test_a_worker_that_cannot_leave_the_group_says_so() -> None:
    stage = Stage(keyed(3))
    stage.topic.leaves_in_time = False
    with pytest.raises(ShutdownBudgetError, match="group could not be left"):
        stage.play()
    assert stage.topic.stored == {ZERO: 3}


def test_all_that_is_waited_for_after_a_failure_is_one_outage() -> None:
    stage = Stage(keyed(3))
    stage.broker.silent = True
    stage.broker.abort_is_heard = False
    stage.broker.renew_seconds = 10 * OUTAGE_SECONDS
    with pytest.raises(BrokerUnreachableError):
        stage.play()
    leaving_seconds = stage.broker.limits.pop()
    assert stage.clock.now <= TIMEOUT_SECONDS + OUTAGE_SECONDS + leaving_seconds


class Held:
    """Brokers that have not said yet how a transaction ended."""

    def __init__(self, stage: Stage) -> None:
        self.asked, self.may_answer = threading.Event(), threading.Event()
        stage.broker.on_commit = [self._hold]

    def _hold(self) -> None:
        self.asked.set()
        assert self.may_answer.wait(PATIENCE_SECONDS)


def test_while_the_brokers_end_a_transaction_the_loop_turns_and_sends_nothing() -> None:
    stage = Stage(keyed(4), max_batch=2)
    held = Held(stage)
    sent: list[int] = []

    def look() -> None:
        assert held.asked.wait(PATIENCE_SECONDS)
        sent.append(len(stage.broker.written))
        if len(sent) < 3:
            stage.topic.on_stay = [look]
        else:
            held.may_answer.set()

    stage.topic.on_stay = [look]
    stage.play()
    assert sent == [2, 2, 2]
    assert stage.topic.stored == {ZERO: 4}
    assert [message.key for message in stage.broker.visible] == [b"0", b"1", b"2", b"3"]


def test_a_partition_that_leaves_while_its_transaction_ends_leaves_with_what_it_commits() -> None:
    stage = Stage(keyed(4), max_batch=2)
    held = Held(stage)
    stored: list[dict[Partition, int]] = []

    def revoke() -> None:
        assert held.asked.wait(PATIENCE_SECONDS)
        threading.Timer(0.05, held.may_answer.set).start()
        stage.delivery.revoked(frozenset({ZERO}))
        stored.append(dict(stage.topic.stored))
        stage.topic.leave()

    stage.topic.on_stay = [revoke]
    stage.play()
    assert stored == [{ZERO: 2}]
    assert stage.delivery.counts.labelled == 2


def test_a_partition_that_leaves_does_not_wait_longer_than_it_may_for_the_end_of_its_transaction() -> None:
    stage = Stage(keyed(2), revoke_budget_seconds=0.1)
    held = Held(stage)

    def revoke() -> None:
        assert held.asked.wait(PATIENCE_SECONDS)
        threading.Timer(0.5, held.may_answer.set).start()
        stage.delivery.revoked(frozenset({ZERO}))

    stage.topic.on_stay = [revoke]
    with pytest.raises(DeliveryFailedError, match="before the brokers said how their transaction ended"):
        stage.play()
    assert stage.topic.stored == {ZERO: 2}, "leaving waits for as long as a shutdown may take"


def test_a_position_chosen_while_a_transaction_ends_is_committed_by_the_next() -> None:
    stage = Stage(keyed(2))
    held = Held(stage)

    def choose() -> None:
        assert held.asked.wait(PATIENCE_SECONDS)
        threading.Timer(0.05, held.may_answer.set).start()
        stage.delivery.positioned({ONE: 7})

    stage.topic.on_stay = [choose]
    stage.play()
    assert stage.topic.stored == {ZERO: 2, ONE: 7}
    assert stage.broker.calls["commit"] == 2


@pytest.mark.parametrize("how", [spoil, unknown])
def test_a_partition_lost_while_its_transaction_ends_badly_is_read_by_its_next_owner(how: Callable[[], None]) -> None:
    stage = Stage(keyed(2))
    held = Held(stage)

    def end_badly() -> None:
        held.asked.set()
        how()

    stage.broker.on_commit = [end_badly]

    def lose() -> None:
        assert held.asked.wait(PATIENCE_SECONDS)
        stage.topic.leave()
        stage.delivery.lost(frozenset({ZERO}))

    stage.topic.on_stay = [lose]
    stage.play()
    assert stage.topic.stored == {}
    assert stage.broker.visible == []
    assert stage.delivery.counts.labelled == 0
