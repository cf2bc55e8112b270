"""The two brokers that the worker's contract is held against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kuaixun.worker.delivery.promise import Guarantee
from tests.conftest import do_without_kafka
from tests.kafka_broker import BrokerUnavailableError, kafka_jars
from tests.secured_broker import SecuredBroker
from tests.worker.mock_broker import MockBroker
from tests.worker.topics import Topics


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where every test runs, for a developer's own `.env` may lie elsewhere."""
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def embedded_bootstrap() -> Iterator[str]:
    """librdkafka's own broker, inside this process."""
    with MockBroker() as broker:
        yield broker.bootstrap


@pytest.fixture(scope="session")
def secured_broker() -> Iterator[SecuredBroker]:
    """A real Kafka that asks who is there. Skipped, or failed under CI=true, where this machine can have none."""
    try:
        with SecuredBroker(kafka_jars()) as broker:
            yield broker
    except BrokerUnavailableError as error:
        do_without_kafka(error)


@pytest.fixture(
    params=[
        ("embedded", Guarantee.AT_LEAST_ONCE),
        ("kafka", Guarantee.AT_LEAST_ONCE),
        ("kafka", Guarantee.EXACTLY_ONCE),
    ],
    ids=["embedded", "kafka", "kafka-exactly-once"],
)
def topics(request: pytest.FixtureRequest) -> Topics:
    """Fresh topics, on the embedded broker and on a real one, where both guarantees are held against."""
    where, delivery = request.param
    bootstrap: str = request.getfixturevalue(f"{where}_bootstrap")
    return Topics.create(bootstrap, real=where == "kafka", delivery=delivery)


@pytest.fixture
def kafka_topics(kafka_bootstrap: str) -> Callable[..., Topics]:
    """Makes fresh topics on real Kafka alone, the output topic configured as asked."""

    def create(delivery: Guarantee = Guarantee.AT_LEAST_ONCE, **output_config: str) -> Topics:
        return Topics.create(kafka_bootstrap, real=True, delivery=delivery, **output_config)

    return create
