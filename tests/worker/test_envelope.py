"""What labelled events travel in, as independent readers see it: CloudEvents' own SDK, and a registry's own client."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from confluent_kafka import Message
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.json_schema import JSONDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from kuaixun.schemas.dead_letter import DeadLetterReason
from kuaixun.worker import cli, service
from kuaixun.worker.delivery.promise import Counts, Guarantee
from kuaixun.worker.envelope import Envelope, cloud_events, numbered
from kuaixun.worker.errors import SchemaRegistryError, SettingError
from kuaixun.worker.kafka.schema_registry import registered_schema
from kuaixun.worker.messages import Outgoing
from kuaixun.worker.outcomes import TOMBSTONE, Labelled
from kuaixun.worker.records import Record
from kuaixun.worker.routing import Routes, Target
from kuaixun.worker.settings import WorkerSettings, read_settings
from kuaixun.worker.stop import Stop
from tests.conftest import do_without
from tests.maven import UnavailableError
from tests.schema_registry import running_registry
from tests.worker.fake_classifier import FakeClassifier
from tests.worker.replay.test_replay import bury, letter, replay
from tests.worker.running import running_worker
from tests.worker.test_contract import many, news, record
from tests.worker.topics import Topics

Create = Callable[..., Topics]
OF_A_CLOUD_EVENT = (
    ("ce_specversion", b"1.0"),
    ("ce_id", b"the record's own"),
    ("ce_type", b"news.raw"),
    ("ce_source", b"/feed"),
    ("Content-Type", b"application/xml"),
    ("ce_dataschema", b"http://feed/raw"),
    ("ce_traceparent", b"00-1-2-01"),
    ("feed", b"x"),
)


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    """The address of a real schema registry; where this machine can have none, as with Kafka."""
    try:
        with running_registry() as address:
            yield address
    except UnavailableError as error:
        do_without("schema registry", error)


def sent(envelope: Envelope, *records: Record) -> list[Outgoing]:
    routes = Routes(Target("labelled", 4), Target("dead", 4), envelope=envelope)
    outcomes = [Labelled(b'{"id":"1"}') if one.value else TOMBSTONE for one in records]
    return [*routes.address_all(records, outcomes)]


def cloud_event(value: bytes | None, headers: Any, key: bytes | None = None) -> Any:
    """The event as CloudEvents' SDK reads it, which refuses a message that has an attribute twice or lacks one."""
    attributes = [name for name, _ in headers if name.startswith(("ce_", "content-type"))]
    assert len(set(attributes)) == len(attributes)
    return from_binary_event(KafkaMessage(headers=dict(headers), key=key, value=value or b""))


def test_by_default_nothing_is_added() -> None:
    [message] = sent(Envelope(), Record("raw", 1, 7, b"k", b"{}", OF_A_CLOUD_EVENT))
    assert (message.value, message.headers) == (b'{"id":"1"}', OF_A_CLOUD_EVENT)


def test_a_cloud_event_is_its_own_and_carries_what_is_not_the_record_s_envelope() -> None:
    envelope = cloud_events("/kuaixun/raw", "labelled", "http://registry/schemas/ids/3")
    [message] = sent(envelope, Record("raw", 1, 7, b"k", b"{}", OF_A_CLOUD_EVENT))
    event = cloud_event(message.value, message.headers)
    assert event.get_data() == {"id": "1"}
    assert (event.get_id(), event.get_source(), event.get_type()) == ("raw/1/7", "/kuaixun/raw", "labelled")
    assert (event.get_datacontenttype(), event.get_dataschema()) == (
        "application/json",
        "http://registry/schemas/ids/3",
    )
    assert event.get_extension("traceparent") == "00-1-2-01"
    assert ("feed", b"x") in message.headers


@pytest.mark.parametrize("envelope", [numbered(3), cloud_events("/a", "b")])
def test_a_tombstone_is_no_event(envelope: Envelope) -> None:
    [message] = sent(envelope, Record("raw", 1, 7, b"k", None, OF_A_CLOUD_EVENT))
    assert (message.value, message.headers) == (None, OF_A_CLOUD_EVENT)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"registry": {"timeout": "3"}}, r"KUAIXUN_REGISTRY has no url"),
        ({"registry": {"url": "ftp://x"}}, r"KUAIXUN_REGISTRY: Invalid url"),
        ({"registry": {"url": "http://[::1"}}, r"KUAIXUN_REGISTRY: the url is none"),
        ({"registry": {"url": "http://127.0.0.1:1", "tiemout": "3"}}, r"KUAIXUN_REGISTRY: .*tiemout"),
        ({"registry": {"url": "http://127.0.0.1:1", "max.retries": "few"}}, r"KUAIXUN_REGISTRY: max.retries must be"),
        ({"cloudevents_source": "two words"}, r"KUAIXUN_CLOUDEVENTS_SOURCE or --cloudevents-source"),
        ({"event_format": "avro"}, r"KUAIXUN_EVENT_FORMAT or --event-format must be 'json' or 'cloudevents'"),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        registered_schema(read_settings(values))


def test_a_registry_that_does_not_answer_is_named_without_its_password() -> None:
    properties = {"url": "http://kx:hunter2@127.0.0.1:1/api", "max.retries": "0"}
    with pytest.raises(SchemaRegistryError, match=r"The schema registry at http://127\.0\.0\.1:1/api does not") as told:
        registered_schema(read_settings({"registry": properties}))
    assert "hunter2" not in str(told.value)
    assert "hunter2" not in read_settings({"registry": properties}).shown_properties()


@pytest.mark.parametrize("url", ["http://r/api?token=hunter2", "http://r, http://s?hunter2", "http://r/#hunter2"])
def test_a_token_in_the_registry_s_url_is_refused_for_readers_would_see_it(url: str) -> None:
    with pytest.raises(SettingError, match=r"KUAIXUN_REGISTRY: the url has a query or a fragment") as told:
        registered_schema(read_settings({"registry": {"url": url}}))
    assert "hunter2" not in str(told.value)


def test_told_to_leave_while_the_registry_says_nothing_it_waits_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_ask_the_brokers", lambda settings, *_: dict.fromkeys(topics_of(settings), 1))
    stop = Stop(5.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:

        def leave_once_asked() -> None:
            with silent.accept()[0] as asked:
                asked.recv(1)
                stop.request()
                gone.wait()

        gone = threading.Event()
        accepting = threading.Thread(target=leave_once_asked)
        accepting.start()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = read_settings({"registry": {"url": url, "max.retries": "0"}, "connect_seconds": 60})
        try:
            assert service.run_worker(settings, stop, classifier=FakeClassifier()) == Counts()
        finally:
            gone.set()
            accepting.join()


def topics_of(settings: WorkerSettings) -> tuple[str, str]:
    return settings.output_topic, settings.dead_letter_topic


def test_a_schema_is_registered_only_where_that_is_asked_for(registry: str) -> None:
    settings = read_settings({"registry": {"url": registry}, "output_topic": "asked-for"})
    with pytest.raises(SchemaRegistryError, match=r"does not have .* under asked-for-value: .*KUAIXUN_REGISTER_SCHEMA"):
        registered_schema(settings)
    found = registered_schema(settings.model_copy(update={"register_schema": True}))
    assert registered_schema(settings) == found
    assert found.address == f"{registry}/schemas/ids/{found.number}"


def test_another_schema_under_the_subject_is_not_taken_for_the_worker_s(registry: str) -> None:
    other = Schema(json.dumps({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}), "JSON")
    with SchemaRegistryClient({"url": registry}) as client:
        client.register_schema("another-value", other)
    with pytest.raises(SchemaRegistryError, match=r"does not have the schema of labelled events under another-value"):
        registered_schema(read_settings({"registry": {"url": registry}, "output_topic": "another"}))


def check(topics: Topics, *flags: str) -> int:
    return cli.main(["check", *topics.flags(), *flags])


def test_a_worker_that_finds_no_schema_says_so_before_it_joins(
    kafka_topics: Create, registry: str, capsys: pytest.CaptureFixture[str]
) -> None:
    topics = kafka_topics()
    asked = ("--registry", f"url={registry}", "--engine", "auto")
    assert check(topics, *asked) == SchemaRegistryError.exit_code
    assert f"{topics.output}-value" in capsys.readouterr().err
    assert check(topics, *asked, "--register-schema", "true") == 0
    assert check(topics, *asked) == 0
    assert f"{topics.output}-value has number" in capsys.readouterr().out


@pytest.mark.parametrize("guarantee", Guarantee)
def test_a_registry_s_own_client_reads_every_event_and_its_replay(
    kafka_topics: Create, registry: str, guarantee: Guarantee
) -> None:
    topics = kafka_topics(guarantee)
    changes: dict[str, Any] = {"registry": {"url": registry}, "register_schema": True}
    topics.write([*many(8), record(0, None, b"gone"), record(1, b"{", b"poison")])
    with running_worker(topics.settings(**changes)):
        topics.wait_for(topics.output, 9)
        [poison] = topics.read(topics.dead_letter, 1)
    bury(topics, [letter(9, offset=77)])
    replay(topics, settings=changes, reasons=frozenset({DeadLetterReason.CLASSIFICATION_FAILED}))
    context = SerializationContext(topics.output, MessageField.VALUE)
    with SchemaRegistryClient({"url": registry}) as client:
        read = JSONDeserializer(None, schema_registry_client=client)
        found = {event_id(read(message.value(), context)): message for message in topics.read(topics.output, 10)}
    assert set(found) == {None, *(f"n{number}" for number in range(8)), "n9"}
    prefix = numbered(registered_schema(settings_of(topics, registry)).number).prefix
    assert all((message.value() or prefix).startswith(prefix) for message in found.values())
    assert poison.value() == b"{"


def event_id(event: dict[str, Any] | None) -> str | None:
    return None if event is None else str(event["id"])


def settings_of(topics: Topics, registry: str) -> WorkerSettings:
    return topics.settings(registry={"url": registry})


@pytest.mark.parametrize("guarantee", Guarantee)
def test_cloud_events_tell_where_their_headline_stands_whenever_it_is_labelled(
    kafka_topics: Create, guarantee: Guarantee
) -> None:
    topics = kafka_topics(guarantee)
    changes: dict[str, Any] = {"event_format": "cloudevents", "cloudevents_type": "org.example.labelled"}
    topics.write([*many(8), record(0, news("h", "头条"), b"k", OF_A_CLOUD_EVENT)])
    with running_worker(topics.settings(**changes)):
        topics.wait_for(topics.output, 9)
    bury(topics, [letter(9, offset=77)])
    replay(topics, settings=changes)
    events = [as_event(message) for message in topics.read(topics.output, 10)]
    assert {event.get_source() for event in events} == {f"kuaixun/{topics.input}"}
    assert {event.get_type() for event in events} == {"org.example.labelled"}
    assert all(
        event.get_id() == "{topic}/{partition}/{offset}".format(**event.get_data()["origin"]) for event in events
    )
    assert len({event.get_id() for event in events}) == 10


def as_event(message: Message) -> Any:
    return cloud_event(message.value(), message.headers(), message.key())


def test_the_schema_that_is_registered_is_the_committed_file(registry: str) -> None:
    found = registered_schema(
        read_settings({"registry": {"url": registry}, "output_topic": "file", "register_schema": True})
    )
    with SchemaRegistryClient({"url": registry}) as client:
        text = client.get_schema(found.number).schema_str
    path = Path(__file__).resolve().parents[2] / "schemas" / "json" / "labelled_news.schema.json"
    assert json.loads(text or "") == json.loads(path.read_text(encoding="utf-8"))
