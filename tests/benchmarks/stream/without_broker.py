"""The client's two ends of a turn, without Kafka: messages as it hands them over, and a broker in this process."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from confluent_kafka import Message

from kuaixun.worker.delivery.flights import Flight
from kuaixun.worker.kafka.sink import KafkaSink
from kuaixun.worker.settings import WorkerSettings
from tests.worker.mock_broker import MockBroker
from tests.worker.topics import PARTITIONS

TOPIC = "news.raw"
CONFIRMATION_SECONDS = 0.02  # is about what the broker takes for a batch's, in threads of its own


@contextmanager
def embedded_sink() -> Iterator[KafkaSink]:
    """The worker's own, to librdkafka's own broker. Reports on nothing but where it is polled."""
    with MockBroker() as broker:
        sink = KafkaSink(WorkerSettings.model_validate({"bootstrap_servers": broker.bootstrap}))
        yield sink
        sink.close(1.0)


def confirm(sink: KafkaSink, flight: Flight) -> int:
    """Have a whole batch reported on. Returns the nanoseconds of this thread's processor time in the client's hands."""
    spent = 0
    while not flight.landed:
        time.sleep(CONFIRMATION_SECONDS)
        began = time.thread_time_ns()
        sink.poll(0.0)
        spent += time.thread_time_ns() - began
    return spent


def messages_of(values: Sequence[bytes], batch: int, number: int = 0) -> list[Message]:
    """A batch as the client hands it over, of raw events that are repeated or cut to its size."""
    first = number * batch
    return [
        Message(
            topic=TOPIC,
            partition=row % PARTITIONS,
            offset=first + row,
            key=b"%d" % (first + row),
            value=bytes(bytearray(values[(first + row) % len(values)])),  # of its own, as the client's are
            headers=None,
            timestamp=(1, 1_700_000_000_000 + row),
        )
        for row in range(batch)
    ]
