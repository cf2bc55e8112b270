"""Brokers that are away: for a moment, for longer than a worker waits, and while one is started."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from kuaixun.worker.delivery.promise import Guarantee
from kuaixun.worker.errors import BrokerUnreachableError, DeliveryFailedError, ShutdownBudgetError
from kuaixun.worker.kafka.membership import GroupProtocol
from kuaixun.worker.kafka.transactional_sink import KafkaTransactionalSink
from kuaixun.worker.streams import AbortableError
from tests.conftest import do_without_kafka
from tests.deploy.unit import worker_unit
from tests.kafka_broker import BrokerUnavailableError, KafkaBroker, kafka_jars
from tests.worker.replay.test_replay import bury, letter
from tests.worker.running import RunningReplay, RunningWorker, running_worker
from tests.worker.test_contract import assert_each_once, assert_in_order, first_appearances, many
from tests.worker.test_silence import await_words, worker_process
from tests.worker.topics import PATIENCE_SECONDS, Topics

OUTAGE_SECONDS = 3
STARTS_IN_THE_OUTAGE = 2


@pytest.fixture(scope="module")
def broker() -> Iterator[KafkaBroker]:
    """One that may be stopped: nobody else's."""
    try:
        with KafkaBroker(kafka_jars(), short_lived=True) as broker:
            yield broker
    except BrokerUnavailableError as error:
        do_without_kafka(error)


@pytest.fixture
def both(broker: KafkaBroker) -> list[Topics]:
    """Topics of a worker of each guarantee, which meet the same outage."""
    return [Topics.create(broker.bootstrap, real=True, delivery=delivery) for delivery in Guarantee]


def assert_outcomes(topics: Topics, count: int) -> None:
    """Each input has its outcome: one under exactly-once, and a first one in order under at-least-once."""
    labelled = topics.read(topics.output, count)
    firsts = first_appearances(labelled)
    assert_each_once(firsts, count)
    assert_in_order(firsts)
    assert topics.delivery is Guarantee.AT_LEAST_ONCE or len(labelled) == count
    assert sum(topics.committed()) == count


def test_idle_workers_outlive_a_restart_of_the_broker(
    broker: KafkaBroker, both: list[Topics], caplog: pytest.LogCaptureFixture
) -> None:
    clients = 2 * len(both)

    def wait_for_word(words: str) -> int:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (said := sum(words in line for line in caplog.messages)) < clients and time.monotonic() < deadline:
            time.sleep(0.05)
        return said

    with ExitStack() as workers:
        for topics in both:
            workers.enter_context(running_worker(topics.settings(transaction_timeout_seconds=OUTAGE_SECONDS)))
            topics.write(many(4))
            topics.wait_for_offsets([1, 1, 1, 1])
        broker.stop()
        assert wait_for_word("trouble with Kafka") == clients, "consumer and producer both notice"
        broker.start()
        assert wait_for_word("Kafka answers again") == clients, "an outage that is over must not count on"
        for topics in both:
            topics.write(many(4, 4))
            topics.wait_for(topics.output, 8)
            topics.wait_for_offsets([2, 2, 2, 2])
    for topics in both:
        assert_outcomes(topics, 8)


class Supervised:
    """A worker's process, started again as its unit says; `codes` are those that it ended with unasked."""

    def __init__(self, topics: Topics) -> None:
        self.codes: list[int] = []
        self._command = [sys.executable, "-m", "kuaixun.worker.cli", "run", *topics.flags()]
        self._asked_to_end = threading.Event()
        self._ended_with: int | None = None
        self._thread = threading.Thread(target=self._run, name="supervisor")
        self._thread.start()

    def wait_for_ends(self, count: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.codes) < count and self._thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(self.codes) >= count

    def end(self) -> int | None:
        """Ask the one at work to end; its exit code."""
        self._asked_to_end.set()
        self._thread.join(PATIENCE_SECONDS)
        return self._ended_with

    def _run(self) -> None:
        service = worker_unit()["Service"]
        final = {int(code) for code in service["RestartPreventExitStatus"].split()}
        while not self._asked_to_end.is_set():
            code = self._one_process()
            if code is None or service["Restart"] != "on-failure" or code in final:
                return

    def _one_process(self) -> int | None:
        """The exit code of one that ended unasked; None of one that held partitions and was asked to end."""
        with subprocess.Popen([*self._command, "--connect-seconds", "1"], stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr is not None
                if any("assigned " in line for line in process.stderr):
                    self._asked_to_end.wait()
                    process.terminate()
                    process.communicate(timeout=PATIENCE_SECONDS)
                    self._ended_with = process.returncode
                    return None
                self.codes.append(process.wait(PATIENCE_SECONDS))
                return self.codes[-1]
            finally:
                process.kill()


def test_workers_end_when_the_brokers_are_away_for_long_and_come_back_with_them_whenever_they_are_started(
    broker: KafkaBroker, both: list[Topics]
) -> None:
    uncommitted = Topics.create(broker.bootstrap, real=True)
    patience = ("--shutdown-budget-seconds", "8", "--commit-interval-seconds", "100")
    with worker_process(uncommitted, GroupProtocol.COOPERATIVE, *patience) as leaving:
        await_words(leaving, "assigned ")
        uncommitted.write(many(4))
        uncommitted.wait_for(uncommitted.output, 4)
        ended = []
        for topics in both:
            settings = topics.settings(
                outage_seconds=OUTAGE_SECONDS, transaction_timeout_seconds=OUTAGE_SECONDS, shutdown_budget_seconds=5
            )
            ended.append(RunningWorker(settings))
            topics.write(many(40))
            topics.wait_for_offsets([10, 10, 10, 10])
        broker.stop()
        for worker in ended:
            worker.wait()
            assert isinstance(worker.error, BrokerUnreachableError), worker.error
            assert f"Given up after {OUTAGE_SECONDS} s" in str(worker.error)
        leaving.terminate()  # one that may wait for longer, and is told not to
        _, said = leaving.communicate(timeout=PATIENCE_SECONDS)
        assert leaving.returncode == ShutdownBudgetError.exit_code, said

    supervised = [Supervised(topics) for topics in both]
    try:
        for one in supervised:
            one.wait_for_ends(STARTS_IN_THE_OUTAGE)
        broker.start()  # and workers are started all along
        for topics in both:
            topics.write(many(40, 40))
            topics.wait_for_offsets([20, 20, 20, 20])
    finally:
        exit_codes = [one.end() for one in supervised]
    assert set(exit_codes) == {0}
    for one, topics in zip(supervised, both, strict=True):
        assert set(one.codes) == {BrokerUnreachableError.exit_code}
        assert_outcomes(topics, 80)


@pytest.mark.parametrize("command", ["run", "replay"])
def test_brokers_that_stay_away_in_the_midst_of_a_transaction_end_the_command(
    broker: KafkaBroker, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    topics = Topics.create(broker.bootstrap, real=True, delivery=Guarantee.EXACTLY_ONCE)
    if command == "run":
        topics.write(many(40))
    else:
        bury(topics, [letter(number) for number in range(40)])
    flush = KafkaTransactionalSink.flush

    def stopped_once_flushed(sink: KafkaTransactionalSink, timeout_seconds: float) -> bool:
        flush(sink, timeout_seconds)
        broker.stop()  # now the transaction is open there
        raise AbortableError("the broker has gone")

    monkeypatch.setattr(KafkaTransactionalSink, "flush", stopped_once_flushed)
    settings = topics.settings(
        outage_seconds=OUTAGE_SECONDS,
        transaction_timeout_seconds=1,
        shutdown_budget_seconds=5,
    )
    try:
        ended = RunningWorker(settings) if command == "run" else RunningReplay(settings)
        ended.wait()
    finally:
        broker.start()
    assert isinstance(ended.error, BrokerUnreachableError | DeliveryFailedError), ended.error
    assert topics.read(topics.output) == []
    assert sum(topics.committed()) == 0
