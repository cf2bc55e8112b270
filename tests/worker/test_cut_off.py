"""Exactly once on real Kafka, behind a network that goes away at the worst of moments."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from kuaixun.export import Predictions
from kuaixun.worker.delivery.promise import Guarantee
from kuaixun.worker.errors import ShutdownBudgetError
from kuaixun.worker.kafka import KafkaSource, KafkaTransactionalSink
from kuaixun.worker.streams import AbortableError, GroupListener
from tests.conftest import do_without_kafka
from tests.kafka_broker import BrokerUnavailableError, kafka_jars
from tests.proxied_broker import ProxiedBroker
from tests.tcp_proxy import Network
from tests.worker.fake_classifier import FakeClassifier
from tests.worker.running import running_worker
from tests.worker.test_contract import assert_each_once, assert_in_order, many, process
from tests.worker.test_real_kafka import wait_for_offsets
from tests.worker.topics import PARTITIONS, PATIENCE_SECONDS, Topics

TXN_OFFSET_COMMIT = 28  # its API key: the second half of adding offsets to a transaction
COUNT = 400


@pytest.fixture(scope="module")
def broker() -> Iterator[ProxiedBroker]:
    try:
        jars = kafka_jars()
    except BrokerUnavailableError as error:
        do_without_kafka(error)
    with ProxiedBroker(jars, doors=1) as broker:
        yield broker


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
            max_batch=60,
            transaction_interval_ms=1,
            transaction_timeout_seconds=3,
        )
        with running_worker(settings) as worker:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while len(renewals) < 2 and worker.running:
                assert time.monotonic() < deadline, "the worker waits for as long as the network is away"
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
    """Until its own client knows."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            source.member()
        except AbortableError:
            return
        time.sleep(0.05)
    pytest.fail("the client does not notice")


class SlowClassifier(FakeClassifier):
    """Still has work when the network goes."""

    def classify(self, texts: Sequence[str]) -> Predictions:
        time.sleep(0.05)
        return super().classify(texts)


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
                wait_for_offsets(topics, [COUNT // PARTITIONS] * PARTITIONS)
                wait_until_dropped(sources[0])
                door.set_network(Network.WHOLE)
                topics.wait_for(topics.output, COUNT)
    labelled = topics.read(topics.output, COUNT)
    assert_each_once(labelled, COUNT)
    assert_in_order(labelled)
    assert sum(topics.committed()) == COUNT
