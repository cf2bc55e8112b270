"""On real Kafka, behind a network that goes away at the worst of moments."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from confluent_kafka import KafkaError

from kuaixun.export import Predictions
from kuaixun.worker.delivery.promise import Guarantee
from kuaixun.worker.errors import DeliveryFailedError, FencedError, ShutdownBudgetError
from kuaixun.worker.kafka.sink import KafkaSink
from kuaixun.worker.kafka.source import KafkaSource
from kuaixun.worker.kafka.transactional_sink import KafkaTransactionalSink
from kuaixun.worker.streams import AbortableError, GroupListener
from tests.conftest import do_without_kafka
from tests.kafka_broker import BrokerUnavailableError, kafka_jars
from tests.proxied_broker import ProxiedBroker
from tests.tcp_proxy import Network
from tests.worker.fake_classifier import FakeClassifier
from tests.worker.running import RunningWorker, running_worker
from tests.worker.test_contract import assert_each_once, assert_in_order, first_appearances, many, process
from tests.worker.topics import PARTITIONS, PATIENCE_SECONDS, Topics

PRODUCE = 0  # API keys
TXN_OFFSET_COMMIT = 28  # the second half of adding offsets to a transaction
COUNT = 400


@pytest.fixture(scope="module")
def broker() -> Iterator[ProxiedBroker]:
    try:
        jars = kafka_jars()
    except BrokerUnavailableError as error:
        do_without_kafka(error)
    with ProxiedBroker(jars, doors=1, short_lived=True) as broker:
        yield broker


class SlowClassifier(FakeClassifier):
    """Still has work when the network goes."""

    def classify(self, texts: Sequence[str]) -> Predictions:
        time.sleep(0.05)
        return super().classify(texts)


def test_a_call_for_a_coordinator_that_stays_away_is_given_up_and_a_new_producer_goes_on(
    broker: ProxiedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = Topics.create(broker.bootstrap, real=True, delivery=Guarantee.EXACTLY_ONCE)
    topics.write(many(COUNT))
    commits, renewals = [], []
    renew = KafkaTransactionalSink.renew

    def cut_at_the_third(api_key: int) -> None:
        if api_key == TXN_OFFSET_COMMIT:
            commits.append(api_key)
            if len(commits) == 3:
                door.cut_from_within()

    def renewed(sink: KafkaTransactionalSink, timeout_seconds: float) -> None:
        renewals.append(sink)
        renew(sink, timeout_seconds)

    monkeypatch.setattr(KafkaTransactionalSink, "renew", renewed)
    with broker.door(0, cut_at_the_third) as door:
        settings = topics.settings(
            bootstrap_servers=f"127.0.0.1:{door.port}",
            max_batch=20,
            transaction_interval_ms=1,
            transaction_timeout_seconds=3,
        )
        # So slow that a transaction is two batches at most: a fast worker is done with all before the third.
        with running_worker(settings, classifier=SlowClassifier()) as worker:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while len(renewals) < 2 and worker.running:
                assert time.monotonic() < deadline, f"the worker waits still; commits asked for: {len(commits)}"
                time.sleep(0.05)
            door.set_network(Network.WHOLE)
            topics.wait_for(topics.output, COUNT)
    labelled = topics.read(topics.output, COUNT)
    assert_each_once(labelled, COUNT)
    assert_in_order(labelled)
    assert sum(topics.committed()) == COUNT


def test_sigterm_is_heard_while_the_client_asks_for_a_coordinator_that_stays_away(broker: ProxiedBroker) -> None:
    topics = Topics.create(broker.bootstrap, real=True, delivery=Guarantee.EXACTLY_ONCE)
    topics.write(many(COUNT))
    cut = threading.Event()

    def cut_at_the_first(api_key: int) -> None:
        if api_key == TXN_OFFSET_COMMIT:
            door.cut_from_within()
            cut.set()

    with broker.door(0, cut_at_the_first) as door:
        flags = ("--bootstrap-servers", f"127.0.0.1:{door.port}", "--max-batch", "20")
        patience = ("--transaction-interval-ms", "1", "--shutdown-budget-seconds", "3")
        with process(topics, *flags, *patience, module="kuaixun.worker.cli") as worker:
            assert cut.wait(PATIENCE_SECONDS)
            worker.send_signal(signal.SIGTERM)
            _, said = worker.communicate(timeout=PATIENCE_SECONDS)
    assert worker.returncode == ShutdownBudgetError.exit_code
    assert "KUAIXUN_SHUTDOWN_BUDGET_SECONDS" in said
    assert "call_in_time" in said, "the stacks say where it hung"
    assert topics.read(topics.output) == []


def wait_until_dropped(source: KafkaSource) -> None:
    """Until its own client knows, be it that it tells the worker, which waits for the end of its transaction then."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not source.rebalances["lost"]:
        try:
            source.member()
        except AbortableError:
            return
        assert time.monotonic() < deadline, "the client does not notice"
        time.sleep(0.05)


def test_a_worker_whose_group_has_dropped_it_commits_nothing_of_what_another_has_taken_over(
    broker: ProxiedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources: list[KafkaSource] = []
    subscribe = KafkaSource.subscribe

    def subscribed(source: KafkaSource, listener: GroupListener) -> None:
        sources.append(source)
        subscribe(source, listener)

    monkeypatch.setattr(KafkaSource, "subscribe", subscribed)
    topics = Topics.create(broker.bootstrap, real=True, delivery=Guarantee.EXACTLY_ONCE)
    topics.write(many(COUNT))
    with broker.door(0) as door:
        settings = topics.settings(
            bootstrap_servers=f"127.0.0.1:{door.port}", max_batch=10, transaction_interval_ms=3000
        )
        with running_worker(settings, classifier=SlowClassifier()):
            topics.read(topics.output, 10, "read_uncommitted")
            # What it writes from here on is not confirmed, and that is what it waits for while its session ends.
            door.set_network(Network.HOLE)
            with running_worker(topics.settings()):
                topics.wait_for_offsets([COUNT // PARTITIONS] * PARTITIONS)
                wait_until_dropped(sources[0])
                door.set_network(Network.WHOLE)
                topics.wait_for(topics.output, COUNT)
    labelled = topics.read(topics.output, COUNT)
    assert_each_once(labelled, COUNT)
    assert_in_order(labelled)
    assert sum(topics.committed()) == COUNT


def test_what_an_abort_purges_is_no_failed_delivery(broker: ProxiedBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[str] = []
    failure, abort = KafkaSink._failure, KafkaTransactionalSink.abort

    def listening(sink: KafkaSink, error: KafkaError, topic: str) -> Exception:
        failures.append(error.name())
        return failure(sink, error, topic)

    def healing(sink: KafkaTransactionalSink, timeout_seconds: float) -> None:
        threading.Timer(0.5, door.set_network, [Network.WHOLE]).start()
        abort(sink, timeout_seconds)

    def hold_back_from_the_third(api_key: int) -> None:
        if api_key == PRODUCE:
            produced.append(api_key)
            if len(produced) == 3:
                door.stop_from_within()

    monkeypatch.setattr(KafkaTransactionalSink, "_failure", listening)
    monkeypatch.setattr(KafkaTransactionalSink, "abort", healing)
    produced: list[int] = []
    topics = Topics.create(broker.bootstrap, real=True, delivery=Guarantee.EXACTLY_ONCE)
    topics.write(many(COUNT))
    with broker.door(0, hold_back_from_the_third) as door:
        # No room for a batch, so that the transaction is undone with some of it under way and some not.
        room = {"queue.buffering.max.messages": "20", "batch.num.messages": "1"}
        settings = topics.settings(
            bootstrap_servers=f"127.0.0.1:{door.port}", max_batch=60, transaction_timeout_seconds=6, producer=room
        )
        with running_worker(settings):
            topics.wait_for(topics.output, COUNT)
    assert len(failures) > 1
    assert set(failures) == {"_PURGE_QUEUE"}
    labelled = topics.read(topics.output, COUNT)
    assert_each_once(labelled, COUNT)
    assert_in_order(labelled)
    assert sum(topics.committed()) == COUNT


@pytest.mark.parametrize("delivery", Guarantee)
def test_a_worker_whose_outcomes_are_not_confirmed_for_too_long_ends_and_a_restart_labels_them(
    broker: ProxiedBroker, delivery: Guarantee
) -> None:
    attempts: list[int] = []

    def let_none_be_confirmed(api_key: int) -> None:
        if api_key == PRODUCE and delivery is Guarantee.AT_LEAST_ONCE:
            door.stop_from_within()
        elif api_key == TXN_OFFSET_COMMIT:
            attempts.append(api_key)
            door.cut_from_within()
            threading.Timer(0.2, door.set_network, [Network.WHOLE]).start()

    topics = Topics.create(broker.bootstrap, real=True, delivery=delivery)
    topics.write(many(COUNT))
    with broker.door(0, let_none_be_confirmed) as door:
        worker = RunningWorker(
            topics.settings(bootstrap_servers=f"127.0.0.1:{door.port}", outage_seconds=6, transaction_timeout_seconds=2)
        )
        worker.wait()
    # An open transaction ends by the broker's clock too: which of the two gives up first is not for a test to say.
    fenced = delivery is Guarantee.EXACTLY_ONCE and isinstance(worker.error, FencedError)
    assert isinstance(worker.error, FencedError if fenced else DeliveryFailedError), worker.error
    assert worker.error.exit_code == (13 if fenced else 9)
    assert delivery is Guarantee.AT_LEAST_ONCE or len(attempts) > 1, "tried again until that has lasted for too long"
    assert sum(topics.committed()) == 0
    with running_worker(topics.settings()):
        topics.wait_for_offsets([COUNT // PARTITIONS] * PARTITIONS)
    firsts = first_appearances(topics.read(topics.output, COUNT))
    assert_each_once(firsts, COUNT)
    assert_in_order(firsts)
