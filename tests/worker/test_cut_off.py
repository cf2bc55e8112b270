"""Exactly once on real Kafka, behind a network that goes away at the worst of moments."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from kuaixun.worker.delivery.promise import Guarantee
from kuaixun.worker.kafka import KafkaTransactionalSink
from tests.conftest import do_without_kafka
from tests.kafka_broker import BrokerUnavailableError, kafka_jars
from tests.proxied_broker import ProxiedBroker
from tests.tcp_proxy import Network
from tests.worker.running import running_worker
from tests.worker.test_contract import assert_each_once, assert_in_order, many
from tests.worker.topics import PATIENCE_SECONDS, Topics

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
