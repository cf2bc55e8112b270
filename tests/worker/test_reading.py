"""A batch that the client hands over in one call is what it hands over message by message, whatever happens between."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from kuaixun.worker.kafka import plugin
from kuaixun.worker.kafka.membership import GroupProtocol, Membership
from kuaixun.worker.kafka.plugin import PLUGIN, with_plugin
from kuaixun.worker.kafka.reading import Event, Reading
from kuaixun.worker.records import Partition, Record
from tests.benchmarks.stream.without_broker import unexpected
from tests.worker.mock_broker import MockBroker
from tests.worker.topics import PARTITIONS, PATIENCE_SECONDS

WAYS = pytest.mark.parametrize("together", [True, False], ids=["together", "one by one"])
TOPIC = "t"
FIRST = Partition(TOPIC, 0)
COUNT = 300


@pytest.fixture
def broker() -> Iterator[MockBroker]:
    with MockBroker() as broker:
        yield broker


class Reader:
    """A consumer and its reading, together or message by message."""

    def __init__(self, bootstrap: str, monkeypatch: pytest.MonkeyPatch, *, together: bool, **properties: Any) -> None:
        if together:
            assert PLUGIN is not None, "the C++ modules are not built"
        else:
            monkeypatch.setattr(plugin, "PLUGIN", None)
        self.errors: list[KafkaError] = []
        self.consumer = Consumer(
            {
                "error_cb": self.errors.append,
                "bootstrap.servers": bootstrap,
                "group.id": "g",
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 10,
                **with_plugin(None),
                **properties,
            }
        )
        self.reading = Reading(self.consumer, None, self.errors.append)
        assert (self.reading._batches is not None) is together
        self.events: list[Event] = []

    def assign(self, *starts: tuple[Partition, int]) -> None:
        self.reading.begin([partition for partition, _ in starts])
        self.consumer.assign([TopicPartition(*partition, offset) for partition, offset in starts])

    def records(self, count: int, limit: int | None = None) -> list[Record]:
        """So many of them. Without a limit no more may be there; with one no more are asked for, so many in a call."""
        found: list[Record] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(found) < count and time.monotonic() < deadline:
            records, events = self.reading.consume(min(limit, count - len(found)) if limit else 1000, 0.1)
            found += records
            self.events += events
        assert len(found) == count, self.events
        return found

    def event(self, code: int) -> Event:
        """The first error of this code."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            for event in self.events:
                if event.error.code() == code:
                    return event
            self.events += self.reading.consume(1, 0.1)[1]
        raise AssertionError(self.events)

    def wait_for_error(self, code: int) -> None:
        """Until the callback has been told of this one."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not any(error.code() == code for error in self.errors) and time.monotonic() < deadline:
            self.events += self.reading.consume(1000, 0.1)[1]
        assert any(error.code() == code for error in self.errors)

    def close(self) -> None:
        self.reading.close()
        self.consumer.close()


def write(bootstrap: str, count: int = COUNT, partitions: Sequence[int] = (0,)) -> None:
    """Messages whose values are their offsets."""
    producer = Producer({"bootstrap.servers": bootstrap})
    for number in range(count):
        for partition in partitions:
            producer.produce(TOPIC, b"%d" % number, partition=partition)
    assert producer.flush(PATIENCE_SECONDS) == 0


@WAYS
def test_both_ways_read_the_same(broker: MockBroker, monkeypatch: pytest.MonkeyPatch, *, together: bool) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    sent: list[tuple[str, int, bytes | None, bytes | None, list[tuple[str, str | bytes | None]], int]] = [
        (TOPIC, 0, b"k", b"v", [], 1_700_000_000_000),
        (TOPIC, 0, None, None, [("h", b"1"), ("h", None), ("标", b"")], 5),
        ("u", 1, b"", b"", [], 7),
        (TOPIC, 0, b"\x00\xff", b"\x00" * 1000, [("empty", b"")], 1),
    ]
    for topic, partition, key, value, headers, timestamp_ms in sent:
        producer.produce(topic, value, key, partition, headers=headers, timestamp=timestamp_ms)
    assert producer.flush(PATIENCE_SECONDS) == 0
    reader = Reader(broker.bootstrap, monkeypatch, together=together)
    reader.assign((FIRST, 0), (Partition("u", 1), 0))
    found = reader.records(4)
    assert [one for one in found if one.topic == TOPIC] == [
        Record(TOPIC, 0, 0, b"k", b"v", (), 1_700_000_000_000),
        Record(TOPIC, 0, 1, None, None, (("h", b"1"), ("h", None), ("标", b"")), 5),
        Record(TOPIC, 0, 2, b"\x00\xff", b"\x00" * 1000, (("empty", b""),), 1),
    ]
    assert [one for one in found if one.topic == "u"] == [Record("u", 1, 0, b"", b"", (), 7)]
    end = reader.event(KafkaError._PARTITION_EOF)
    assert end.partition in (FIRST, Partition("u", 1))
    assert end.offset == (3 if end.partition == FIRST else 1)
    reader.close()


@WAYS
def test_no_more_are_read_than_are_asked_for_and_none_is_left_out(
    broker: MockBroker, monkeypatch: pytest.MonkeyPatch, *, together: bool
) -> None:
    write(broker.bootstrap, partitions=range(PARTITIONS))
    reader = Reader(broker.bootstrap, monkeypatch, together=together)
    reader.assign(*((Partition(TOPIC, number), 0) for number in range(PARTITIONS)))
    found: dict[int, list[int]] = {number: [] for number in range(PARTITIONS)}
    for _ in range(PARTITIONS * COUNT):
        (record,) = reader.records(1, limit=1)
        found[record.partition].append(record.offset)
    assert found == {number: list(range(COUNT)) for number in range(PARTITIONS)}
    places = [TopicPartition(TOPIC, number) for number in range(PARTITIONS)]
    assert [one.offset for one in reader.consumer.position(places)] == [COUNT] * PARTITIONS
    reader.close()


@WAYS
def test_going_back_drops_what_waits(broker: MockBroker, monkeypatch: pytest.MonkeyPatch, *, together: bool) -> None:
    write(broker.bootstrap)
    reader = Reader(broker.bootstrap, monkeypatch, together=together)
    reader.assign((FIRST, 0))
    assert [one.offset for one in reader.records(10, limit=10)] == list(range(10))
    reader.event(KafkaError._PARTITION_EOF) if not together else time.sleep(0.2)  # the rest is fetched by now
    reader.reading.begin([FIRST])
    reader.consumer.seek(TopicPartition(*FIRST, 5))
    assert [one.offset for one in reader.records(COUNT - 5)] == list(range(5, COUNT))
    reader.close()


@WAYS
@pytest.mark.parametrize("protocol", [GroupProtocol.EAGER, GroupProtocol.COOPERATIVE])
def test_reading_that_begins_anew_again_and_again_misses_nothing(
    broker: MockBroker, monkeypatch: pytest.MonkeyPatch, protocol: GroupProtocol, *, together: bool
) -> None:
    write(broker.bootstrap, partitions=(0, 1))
    reader = Reader(broker.bootstrap, monkeypatch, together=together)
    membership = Membership(protocol, reader.reading)
    both = [FIRST, Partition(TOPIC, 1)]
    membership.take_over(reader.consumer, [TopicPartition(*partition, 0) for partition in both])
    others = 0
    while not others:  # where a partition that was never read stands is not known to the client
        others += sum(one.partition == 1 for one in reader.records(1, limit=1))
    for start in range(0, COUNT, 10):
        membership.read_on_from(reader.consumer, TopicPartition(*FIRST, start))
        found: list[int] = []
        while len(found) < COUNT - start:
            (record,) = reader.records(1, limit=1)
            if record.partition == 0:
                found.append(record.offset)
            else:
                others += 1
        assert found == list(range(start, COUNT))
    assert others <= COUNT
    reader.records(COUNT - others)
    reader.close()


def test_each_is_read_once_while_the_client_pauses_as_it_does_for_a_rebalance(
    broker: MockBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, pauses = 20_000, 60
    write(broker.bootstrap, count, partitions=(0, 1))
    reader = Reader(broker.bootstrap, monkeypatch, together=True)
    both = [FIRST, Partition(TOPIC, 1)]
    places = [TopicPartition(*partition) for partition in both]
    reader.assign(*((partition, 0) for partition in both))
    expected = dict.fromkeys(both, 0)

    def pause() -> None:
        for _ in range(pauses):
            time.sleep(0.02)
            reader.consumer.pause(places)
            reader.consumer.resume(places)

    pausing = threading.Thread(target=pause)
    pausing.start()
    while pausing.is_alive() or sum(expected.values()) < 2 * count:
        for record in reader.reading.consume(4096, 0.05)[0]:
            partition = Partition(record.topic, record.partition)
            assert record.offset == expected[partition]
            expected[partition] += 1
        for partition, read in expected.items():
            if read == count and pausing.is_alive():
                reader.reading.begin([partition])
                reader.consumer.seek(TopicPartition(*partition, 0))
                expected[partition] = 0
    pausing.join()
    reader.close()


def test_a_partition_that_came_back_is_read_from_where_it_is_told_to(
    broker: MockBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(broker.bootstrap)
    reader = Reader(broker.bootstrap, monkeypatch, together=True)
    for start in (0, 7, 3):
        reader.reading.begin([FIRST])
        reader.consumer.incremental_assign([TopicPartition(*FIRST, start)])
        assert [one.offset for one in reader.records(10, limit=10)] == list(range(start, start + 10))
        reader.reading.end([FIRST])
        reader.consumer.incremental_unassign([TopicPartition(*FIRST)])
        assert not reader.reading.consume(1000, 0.0)[0]
    reader.close()


def test_what_is_not_diverted_is_read_all_the_same(broker: MockBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    write(broker.bootstrap, partitions=(0, 1))
    reader = Reader(broker.bootstrap, monkeypatch, together=True)
    reader.reading.begin([FIRST])
    reader.consumer.assign([TopicPartition(TOPIC, number, 0) for number in (0, 1)])
    found = reader.records(2 * COUNT)
    for number in (0, 1):
        assert [one.offset for one in found if one.partition == number] == list(range(COUNT))
    reader.close()


@WAYS
def test_a_position_that_is_not_on_the_topic_is_told_of(
    broker: MockBroker, monkeypatch: pytest.MonkeyPatch, *, together: bool
) -> None:
    write(broker.bootstrap)
    reader = Reader(broker.bootstrap, monkeypatch, together=together)
    reader.assign((FIRST, COUNT + 100))
    event = reader.event(KafkaError._AUTO_OFFSET_RESET)
    assert (event.partition, event.offset) == (FIRST, COUNT + 100)
    assert "Offset out of range" in event.error.str()
    reader.close()


@WAYS
@pytest.mark.parametrize(
    "code", [KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED], ids=["unknown", "refused"]
)
def test_the_client_s_news_of_a_topic_are_for_its_error_callback_and_others_are_read_on(
    broker: MockBroker, monkeypatch: pytest.MonkeyPatch, code: int, *, together: bool
) -> None:
    other = Partition("u", 0)
    write(broker.bootstrap)
    Producer({"bootstrap.servers": broker.bootstrap}).list_topics("u", timeout=PATIENCE_SECONDS)
    often = {"topic.metadata.refresh.interval.ms": 100, "topic.metadata.propagation.max.ms": 100}
    reader = Reader(broker.bootstrap, monkeypatch, together=together, **often)
    membership = Membership(GroupProtocol.COOPERATIVE, reader.reading)
    membership.take_over(reader.consumer, [TopicPartition(*FIRST, 0), TopicPartition(*other, 0)])
    reader.records(COUNT)
    broker.let_topic_fail(TOPIC, code)
    reader.wait_for_error(code)
    # Where the topic is not known the client makes the partition anew, and must not take the other's records along.
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for number in range(COUNT):
        producer.produce(other.topic, b"%d" % number, partition=other.number)
    assert producer.flush(PATIENCE_SECONDS) == 0
    time.sleep(0.5)  # until they wait
    membership.read_on_from(reader.consumer, TopicPartition(*FIRST, 0))
    found = [one for one in reader.records(COUNT, limit=7) if one.topic == other.topic]
    assert [one.offset for one in found] == list(range(len(found)))
    broker.let_topic_fail(TOPIC, 0)
    again = reader.records(COUNT)
    both = [*found, *again]
    assert [one.offset for one in both if one.topic == other.topic] == list(range(COUNT))
    assert [one.offset for one in both if one.topic == TOPIC] == list(range(COUNT))
    reader.close()


@WAYS
def test_a_partition_that_is_not_there_is_told_of(
    broker: MockBroker, monkeypatch: pytest.MonkeyPatch, *, together: bool
) -> None:
    write(broker.bootstrap)
    reader = Reader(broker.bootstrap, monkeypatch, together=together)
    reader.assign((FIRST, 0), (Partition(TOPIC, 50), 0))
    reader.records(COUNT)
    reader.wait_for_error(KafkaError._UNKNOWN_PARTITION)
    assert {error.code() for error in reader.errors} == {KafkaError._UNKNOWN_PARTITION}
    reader.close()


def test_a_callback_that_waits_ends_the_wait_for_records(broker: MockBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    write(broker.bootstrap)
    reader = Reader(broker.bootstrap, monkeypatch, together=True)
    reader.assign((FIRST, COUNT))
    reader.event(KafkaError._PARTITION_EOF)
    answers: list[object] = []
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap,
            "group.id": "h",
            "on_commit": lambda error, _: answers.append(error),
            **with_plugin(None),
        }
    )
    reading = Reading(consumer, TOPIC, unexpected)
    threading.Timer(0.2, consumer.commit, kwargs={"offsets": [TopicPartition(*FIRST, 7)]}).start()
    write_soon = threading.Timer(1.0, write, [broker.bootstrap, 1])
    reading.begin([FIRST])
    consumer.assign([TopicPartition(*FIRST, COUNT)])
    write_soon.start()
    records, _ = reading.consume(1, 10_000.0)  # the test's own time limit is shorter than this waiting
    assert [one.offset for one in records] == [COUNT]
    assert answers == [None], "served before there was a record"
    reading.close()
    consumer.close()
    reader.close()


def test_once_closed_nothing_is_read_and_the_client_closes(broker: MockBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    write(broker.bootstrap)
    reader = Reader(broker.bootstrap, monkeypatch, together=True)
    reader.assign((FIRST, 0))
    reader.records(10, limit=10)
    reader.reading.close()
    reader.reading.close()
    reader.reading.begin([Partition(TOPIC, 1)])
    assert not any(reader.reading.consume(10, 0.0))
    reader.reading.end([FIRST, Partition(TOPIC, 1)])
    reader.consumer.close()


def test_each_consumer_is_read_with_its_own_client_whichever_was_made_last(broker: MockBroker) -> None:
    write(broker.bootstrap, 1)
    consumers = [
        Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group, **with_plugin(None)}) for group in "ab"
    ]
    first, second = (Reading(consumer, TOPIC, unexpected) for consumer in consumers)
    assert first._batches is not None
    assert second._batches is not None
    assert Reading(consumers[0], TOPIC, unexpected)._batches is None, "shared already"
    first.begin([FIRST])
    consumers[0].assign([TopicPartition(*FIRST, 0)])
    records, _ = first.consume(1, PATIENCE_SECONDS)
    assert records.values == [b"0"]
    assert not any(second.consume(1, 0.0))
    for reading, consumer in zip((first, second), consumers, strict=True):
        reading.close()
        consumer.close()


@pytest.mark.parametrize("other", [Consumer, Producer, None])
def test_a_consumer_that_was_made_without_the_plugin_is_read_by_its_own_calls(
    broker: MockBroker, other: type[Consumer | Producer] | None
) -> None:
    write(broker.bootstrap, 1)
    # Another client that has the plugin and nobody reads with, or one that is gone, its memory perhaps the next one's.
    (other or Consumer)({"group.id": "g", **with_plugin(None)})
    beside = other({"group.id": "g", **with_plugin(None)}) if other is not None else None
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "g"})
    reading = Reading(consumer, TOPIC, unexpected)
    assert reading._batches is None
    reading.begin([FIRST])
    consumer.assign([TopicPartition(*FIRST, 0)])
    records, events = reading.consume(1, PATIENCE_SECONDS)
    assert [(one.offset, one.value) for one in records] == [(0, b"0")]
    assert not events
    assert (beside is not None) is (other is not None)
    reading.end([FIRST])
    reading.close()
    consumer.close()
