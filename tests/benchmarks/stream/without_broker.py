"""The client's two ends of a turn, without Kafka: a broker in this process."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from kuaixun.worker.delivery.flights import Flight
from kuaixun.worker.kafka.plugin import with_plugin
from kuaixun.worker.kafka.read_ahead import ReadAhead
from kuaixun.worker.kafka.reading import Reading
from kuaixun.worker.kafka.sink import KafkaSink
from kuaixun.worker.records import Partition, Records
from kuaixun.worker.settings import WorkerSettings
from tests.worker.mock_broker import MockBroker
from tests.worker.topics import PARTITIONS, PATIENCE_SECONDS

TOPIC = "news.raw"
CONFIRMATION_SECONDS = 0.02  # is about what the broker takes for a batch's, in threads of its own


@contextmanager
def embedded_sink() -> Iterator[KafkaSink]:
    """The worker's own, to librdkafka's own broker. Reports on nothing but where it is polled."""
    with MockBroker() as broker:
        sink = KafkaSink(WorkerSettings.model_validate({"bootstrap_servers": broker.bootstrap}))
        yield sink
        sink.close(1.0)


def unexpected(error: KafkaError) -> None:
    """An error of the client's own. Raises AssertionError."""
    raise AssertionError(error)


class EmbeddedBacklog:
    """Headlines on librdkafka's own broker, and the worker's own way to read them."""

    def __init__(self, bootstrap: str, values: Sequence[bytes]) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})
        self._consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": TOPIC, **with_plugin(None)})
        self._reading = Reading(self._consumer, TOPIC, unexpected)
        partitions = [Partition(TOPIC, number) for number in range(PARTITIONS)]
        self._reading.begin(partitions)
        self._consumer.assign([TopicPartition(*partition, 0) for partition in partitions])
        self._values, self._written = values, 0

    def write(self, batch: int) -> None:
        """Write as many, and wait until the consumer is likely to have them."""
        for number in range(self._written, self._written + batch):
            value = self._values[number % len(self._values)]
            self._producer.produce(TOPIC, value, b"%d" % number, number % PARTITIONS)
        self._written += batch
        self._producer.flush(PATIENCE_SECONDS)
        time.sleep(CONFIRMATION_SECONDS)

    def read(self, batch: int) -> Records:
        """Read as many."""
        ahead = ReadAhead()
        while len(ahead) < batch:
            records, events = self._reading.consume(batch - len(ahead), PATIENCE_SECONDS)
            if events:
                raise AssertionError(events)
            ahead.add(records)
        return ahead.take(batch)

    def close(self) -> None:
        """Read nothing more."""
        self._reading.close()
        self._consumer.close()


@contextmanager
def embedded_backlog(values: Sequence[bytes]) -> Iterator[EmbeddedBacklog]:
    """Nothing is written yet. `values` are raw events, which are repeated."""
    with MockBroker() as broker:
        backlog = EmbeddedBacklog(broker.bootstrap, values)
        yield backlog
        backlog.close()


def confirm(sink: KafkaSink, flight: Flight) -> int:
    """Have a whole batch reported on. Returns the nanoseconds of this thread's processor time in the client's hands."""
    spent = 0
    while not flight.landed:
        time.sleep(CONFIRMATION_SECONDS)
        began = time.thread_time_ns()
        sink.poll(0.0)
        spent += time.thread_time_ns() - began
    return spent


def messages_of(values: Sequence[bytes], batch: int) -> list[Message]:
    """A batch as the client hands it over, of raw events that are repeated or cut to its size."""
    return [
        Message(
            topic=TOPIC,
            partition=row % PARTITIONS,
            offset=row,
            key=b"%d" % row,
            value=bytes(bytearray(values[row % len(values)])),  # of its own, as the client's are
            headers=None,
            timestamp=(1, 1_700_000_000_000 + row),
        )
        for row in range(batch)
    ]
