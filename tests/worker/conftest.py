"""The two brokers that the worker's contract is held against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kuaixun.worker.kafka import EmbeddedBroker
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
    with EmbeddedBroker() as broker:
        yield broker.bootstrap


@pytest.fixture(params=["embedded", "kafka"])
def topics(request: pytest.FixtureRequest) -> Topics:
    """Fresh topics, on the embedded broker and on a real one."""
    bootstrap: str = request.getfixturevalue(f"{request.param}_bootstrap")
    return Topics.create(bootstrap, real=request.param == "kafka")


@pytest.fixture
def kafka_topics(kafka_bootstrap: str) -> Callable[..., Topics]:
    """Makes fresh topics on real Kafka alone, the output topic configured as asked."""

    def create(**output_config: str) -> Topics:
        return Topics.create(kafka_bootstrap, real=True, **output_config)

    return create
