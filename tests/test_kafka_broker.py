"""The broker that the other tests trust: it says why it is missing, keeps its data through an outage, and cleans up."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from tests.conftest import do_without_kafka
from tests.kafka_broker import BrokerFailedError, BrokerUnavailableError, KafkaBroker, create_topic, kafka_jars


@pytest.fixture(scope="module")
def jars() -> Path:
    try:
        return kafka_jars()
    except BrokerUnavailableError as error:
        do_without_kafka(error)


def topics_of(broker: KafkaBroker) -> set[str]:
    return set(AdminClient({"bootstrap.servers": broker.bootstrap}).list_topics(timeout=10).topics)


def test_topics_survive_an_outage_at_the_same_address_and_nothing_is_left_behind(jars: Path) -> None:
    with KafkaBroker(jars, short_lived=True) as broker:
        address = broker.bootstrap
        create_topic(address, "news.raw", max_message_bytes="2000000")
        broker.stop()
        broker.start()
        assert broker.bootstrap == address
        assert "news.raw" in topics_of(broker)
        folder = broker.folder
    assert not folder.exists()


def test_a_port_that_is_taken_is_refused_instead_of_shared(jars: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port: int = taken.getsockname()[1]
        with pytest.raises(BrokerFailedError, match=f"listens on port {port}"), KafkaBroker(jars, port):
            pass


def test_broker_that_does_not_start_shows_what_java_said(tmp_path: Path) -> None:
    with pytest.raises(BrokerFailedError, match=r"StorageTool"), KafkaBroker(tmp_path):
        pass


def test_missing_tool_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrokerUnavailableError, match=r"`java` is not on the PATH.*KUAIXUN_TEST_BOOTSTRAP"):
        kafka_jars()


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_missing_broker_is_a_failure_under_ci_and_a_skip_elsewhere(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="no Java"):
        do_without_kafka(BrokerUnavailableError("no Java"))
