"""The client's two ends of a turn, without a broker: messages as it hands them over, and a producer that drops them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import Message

from kuaixun.worker.kafka.sink import KafkaSink
from kuaixun.worker.settings import WorkerSettings
from tests.worker.topics import PARTITIONS

TOPIC = "news.raw"


class SwallowingProducer:
    """Keeps the reports that it owes, and nothing else."""

    def __init__(self) -> None:
        self.owed: list[Callable[[None, Any], None]] = []

    def produce(self, _topic: str, _value: bytes, _key: bytes, _partition: int, report: Any, *_: Any) -> None:
        """See confluent_kafka.Producer.produce."""
        self.owed.append(report)


def sink_to(producer: SwallowingProducer) -> KafkaSink:
    """The worker's own, which hands what it sends to this producer."""
    sink = KafkaSink(WorkerSettings.model_validate({"bootstrap_servers": "127.0.0.1:1"}))
    vars(sink)["_producer"] = producer
    return sink


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
