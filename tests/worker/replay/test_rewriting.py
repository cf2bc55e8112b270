"""A replay's transactions at their seam: what a broker refuses costs no more than it must, and ends no replay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from kuaixun.worker.errors import DeliveryFailedError, ShutdownBudgetError
from kuaixun.worker.outcomes import Tombstone
from kuaixun.worker.records import Partition
from kuaixun.worker.replay.restored import Restored
from kuaixun.worker.replay.rewriting import Rewriting
from kuaixun.worker.routing import Routes, Target
from kuaixun.worker.stop import Stop
from kuaixun.worker.streams import EndUnknownError, Mark, RefusedAlongError, RefusedError, TooLargeError
from tests.worker.test_loop import Clock
from tests.worker.test_transactions import OUTAGE_SECONDS, TIMEOUT_SECONDS, Broker, Topic, keyed

LETTERS = Partition("dead", 0)


class Marks(Topic):
    """The replay's source, of which only the group's side is needed."""

    def marks(self, partitions: Iterable[Partition]) -> Mapping[Partition, Mark]:
        return {}


class Stage:
    """A replay's writing of one chunk of letters."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.stop = Stop(20.0, self.clock)
        source: Any = Marks(self.stop)
        self.broker = Broker(self.clock, source)
        self.rewriting = Rewriting(
            source,
            self.broker,
            Routes(Target("labelled", 1), Target("dead", 1)),
            outage_seconds=OUTAGE_SECONDS,
            transaction_timeout_seconds=TIMEOUT_SECONDS,
            stop=self.stop,
            worker_version="1",
            monotonic=self.clock,
        )

    def write(self, count: int) -> None:
        letters = [Restored(record, 0) for record in keyed(count)]
        self.rewriting.write(letters, [Tombstone()] * count, {LETTERS: Mark(count, "")})


@pytest.mark.parametrize("along", [TooLargeError, RefusedAlongError])
def test_each_refused_letter_costs_one_attempt_and_each_doubtful_one_a_flush_or_two(along: type[RefusedError]) -> None:
    stage = Stage()
    stage.broker.refused, stage.broker.along = {b"%d" % offset for offset in range(0, 300, 3)}, along
    abort = stage.broker.abort

    def slow(timeout_seconds: float) -> None:
        stage.clock.now += 2
        abort(timeout_seconds)

    stage.broker.abort = slow  # type: ignore[method-assign]
    stage.write(300)
    assert stage.clock.now > OUTAGE_SECONDS, "what it learns starts the clock of its failures anew"
    assert [message.key for message in stage.broker.visible] == [record.key for record in keyed(300)]
    assert {message.key for message in stage.broker.visible if message.topic == "dead"} == stage.broker.refused
    assert stage.broker.calls["commit"] == 1
    assert stage.broker.calls["abort"] <= 1 + len(stage.broker.refused)
    assert stage.broker.calls["flush"] <= 5 * 300


def test_a_chunk_that_fails_for_longer_than_an_outage_ends_the_replay() -> None:
    stage = Stage()
    stage.broker.silent = True
    with pytest.raises(DeliveryFailedError, match="replay again"):
        stage.write(3)
    assert stage.clock.now <= OUTAGE_SECONDS + TIMEOUT_SECONDS


def test_a_stop_beside_an_unknown_end_waits_for_a_new_producer_no_longer_than_there_is_time() -> None:
    stage = Stage()
    stage.broker.renew_seconds = OUTAGE_SECONDS

    def stopped() -> None:
        stage.stop.request()
        raise EndUnknownError("no answer")

    stage.broker.on_commit = [stopped]
    with pytest.raises(ShutdownBudgetError):
        stage.write(3)
    assert stage.clock.now <= stage.stop.budget_seconds
