"""A batch that the client takes in one call comes to the same as one that it takes message by message."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from msgspec import structs

from kuaixun.worker.kafka import plugin
from kuaixun.worker.kafka.plugin import PLUGIN, PLUGINS_PROPERTY, with_plugin
from kuaixun.worker.kafka.sent_batches import SentBatches
from kuaixun.worker.kafka.sink import KafkaSink
from kuaixun.worker.messages import Outgoing, OutgoingColumns
from kuaixun.worker.settings import read_settings
from kuaixun.worker.streams import Receipts, RefusedError, TooLargeError
from tests.worker.mock_broker import MockBroker
from tests.worker.topics import PATIENCE_SECONDS

PRODUCE = 0  # its API key
WAYS = pytest.mark.parametrize("together", [True, False], ids=["together", "one by one"])
MESSAGES = [
    Outgoing("t", 0, b"k", b"v", (), 1_700_000_000_000),
    Outgoing("t", 0, None, None, (("h", b"1"), ("h", None), ("标", b"")), 5),
    Outgoing("u", 1, b"", b"", (), 0),
    Outgoing("t", 0, b"\x00\xff", b"\x00" * 1000, (("empty", b""),), 1),
    Outgoing("u", None, "键".encode(), b"by key", (), 7),
]


@pytest.fixture
def broker() -> Iterator[MockBroker]:
    with MockBroker() as broker:
        yield broker


def new_sink(broker: str, monkeypatch: pytest.MonkeyPatch, *, together: bool, **producer: object) -> KafkaSink:
    if together:
        assert PLUGIN is not None, "the C++ modules are not built"
    else:
        monkeypatch.setattr(plugin, "PLUGIN", None)
    sink = KafkaSink(read_settings({"bootstrap_servers": broker, "producer": producer}))
    assert (sink._batches is not None) is together
    return sink


def sent(sink: KafkaSink, messages: list[Outgoing], receipts: Receipts | None = None) -> Receipts:
    receipts = receipts or Receipts(len(messages))
    sink.send_all(OutgoingColumns.of(messages), receipts)
    return receipts


def wait(sink: KafkaSink, receipts: Receipts, awaited: int = 0) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while receipts.awaited > awaited and time.monotonic() < deadline:
        sink.poll(0.1)
    assert receipts.awaited == awaited


def read(bootstrap: str, count: int) -> dict[tuple[str, int], list[tuple[Any, ...]]]:
    """What stands in each partition of both topics."""
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "auto.offset.reset": "earliest"})
    topics = reader.list_topics(timeout=PATIENCE_SECONDS).topics
    reader.assign([TopicPartition(name, number, 0) for name in topics for number in topics[name].partitions])
    found: dict[tuple[str, int], list[tuple[Any, ...]]] = {}
    for message in reader.consume(count, PATIENCE_SECONDS):
        place = str(message.topic()), message.partition() or 0
        looks = message.key(), message.value(), message.headers(), message.timestamp()
        found.setdefault(place, []).append(looks)
    reader.close()
    return found


def test_both_ways_write_the_same(broker: MockBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    stands: list[dict[tuple[str, int], list[tuple[Any, ...]]]] = []
    for together in (True, False):
        sink = new_sink(broker.bootstrap, monkeypatch, together=together)
        receipts = sent(sink, MESSAGES)
        assert receipts.queued == len(MESSAGES)
        wait(sink, receipts)
        assert not receipts.refused
        assert receipts.error is None
        stands.append(read(broker.bootstrap, len(MESSAGES) * (len(stands) + 1)))

    once, twice = stands
    assert sum(map(len, once.values())) == len(MESSAGES)
    assert {place: [*looks, *looks] for place, looks in once.items()} == twice


def test_a_message_without_a_time_has_that_of_its_sending(broker: MockBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = new_sink(broker.bootstrap, monkeypatch, together=True)
    began_at = time.time()
    wait(sink, sent(sink, [Outgoing("t", 0, None, b"v")]))
    ((_, _, _, (_, timestamp_ms)),) = read(broker.bootstrap, 1)["t", 0]
    assert began_at - 1 <= timestamp_ms / 1000 <= time.time() + 1


@WAYS
def test_where_the_queue_is_full_the_rest_waits(
    broker: MockBroker, monkeypatch: pytest.MonkeyPatch, *, together: bool
) -> None:
    sink = new_sink(broker.bootstrap, monkeypatch, together=together, **{"queue.buffering.max.messages": 3})
    messages = [Outgoing("t", 0, None, b"v%d" % number) for number in range(5)]
    receipts = sent(sink, messages)
    assert receipts.queued == 3
    deadline = time.monotonic() + PATIENCE_SECONDS
    while receipts.queued < 5 and time.monotonic() < deadline:  # a place is free a moment after its report is there
        sink.poll(0.1)
        sent(sink, messages[receipts.queued :], receipts)
    assert receipts.queued == 5
    wait(sink, receipts)
    assert [value for _, value, _, _ in read(broker.bootstrap, 5)["t", 0]] == [b"v%d" % number for number in range(5)]


@WAYS
def test_what_the_client_does_not_take_ends_a_batch_and_leaves_the_rest(
    broker: MockBroker, monkeypatch: pytest.MonkeyPatch, *, together: bool
) -> None:
    sink = new_sink(broker.bootstrap, monkeypatch, together=together, **{"message.max.bytes": 2000})
    large = Outgoing("t", 0, None, b"v" * 4000, (("h", b"x"),))
    receipts = sent(sink, [MESSAGES[0], large, MESSAGES[1]])
    assert (receipts.queued, receipts.awaited) == (1, 3)
    with pytest.raises(TooLargeError):
        sink.send(large, lambda _: None)
    wait(sink, receipts, 2)


@WAYS
def test_a_refusal_is_noted_of_the_messages_that_it_is_about(
    broker: MockBroker, monkeypatch: pytest.MonkeyPatch, *, together: bool
) -> None:
    sink = new_sink(broker.bootstrap, monkeypatch, together=together, **{"linger.ms": 200})
    wait(sink, sent(sink, [Outgoing("t", 0, None, b"first"), Outgoing("u", 0, None, b"first")]))
    broker.fail_next(PRODUCE, KafkaError.MSG_SIZE_TOO_LARGE)
    receipts = Receipts(5)
    receipts.queued = 1  # what follows is the rest of a batch
    receipts.awaited = 4
    alike = Outgoing("t", 0, b"k", b"v")
    sent(sink, [alike, alike, structs.replace(alike, headers=(("h", b"x"),)), alike], receipts)
    wait(sink, receipts)
    assert sorted(receipts.refused) == [1, 2, 3, 4]
    assert all(isinstance(error, TooLargeError) for error in receipts.refused.values())


@WAYS
def test_what_is_purged_is_reported_with_its_place(monkeypatch: pytest.MonkeyPatch, *, together: bool) -> None:
    monkeypatch.setattr("kuaixun.worker.kafka.sink.undelivered", lambda *_: RefusedError("purged"))
    sink = new_sink("127.0.0.1:1", monkeypatch, together=together)
    receipts = Receipts(3)
    receipts.queued = 1
    sent(sink, MESSAGES[:2], receipts)
    sink.close(5.0)
    assert receipts.awaited == 1
    assert sorted(receipts.refused) == [1, 2]


def test_the_reports_of_several_batches_do_not_mix(broker: MockBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = new_sink(broker.bootstrap, monkeypatch, together=True)
    batches = [[Outgoing("tu"[i % 2], i % 3, None, b"v")] * (i + 1) for i in range(100)]
    receipts = [sent(sink, batch) for batch in batches]
    for one in receipts:
        wait(sink, one)
    assert all(one.queued == len(batch) for one, batch in zip(receipts, batches, strict=True))
    assert sink._batches is not None
    assert not sink._batches._sent


def test_messages_that_are_sent_alone_between_batches_keep_their_reports(
    broker: MockBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = new_sink(broker.bootstrap, monkeypatch, together=True)
    reports: list[Exception | None] = []
    before = sent(sink, MESSAGES)
    sink.send(MESSAGES[0], reports.append)
    after = sent(sink, MESSAGES)
    wait(sink, before)
    wait(sink, after)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not reports and time.monotonic() < deadline:
        sink.poll(0.1)
    assert reports == [None]


def test_an_operators_own_plugins_are_kept() -> None:
    assert PLUGIN is not None
    assert with_plugin("theirs.so") == {PLUGINS_PROPERTY: f"{PLUGIN};theirs.so"}
    assert with_plugin(None) == {PLUGINS_PROPERTY: PLUGIN}


def test_a_producer_that_was_made_without_the_plugin_is_left_alone() -> None:
    assert SentBatches.of(Producer({})) is None


@pytest.mark.parametrize(
    ("column", "content", "error"),
    [
        ("values", ["text"], TypeError),
        ("keys", [b"1", b"2"], ValueError),
        ("topics", [7], TypeError),
        ("partitions", ["0"], TypeError),
        ("timestamps_ms", [1 << 70], OverflowError),
        ("headers", [[("h", b"x")]], TypeError),
        ("headers", [(("h",),)], TypeError),
        ("headers", [(("h", "x"),)], TypeError),
    ],
)
def test_columns_of_another_kind_are_refused_as_a_whole(
    monkeypatch: pytest.MonkeyPatch, column: str, content: list[Any], error: type[Exception]
) -> None:
    sink = new_sink("127.0.0.1:1", monkeypatch, together=True)
    columns = OutgoingColumns.of([Outgoing("t", 0, None, b"v")])
    setattr(columns, column, content)
    receipts = Receipts(1)
    with pytest.raises(error):
        sink.send_all(columns, receipts)
    assert (receipts.queued, receipts.awaited) == (0, 1)
    sink.close(1.0)
