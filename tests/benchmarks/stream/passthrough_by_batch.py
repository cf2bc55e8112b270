"""The passthrough with the worker's own way to the client: what labelling costs where moving costs as little as it can.

    python -m tests.benchmarks.stream.passthrough_by_batch --bootstrap B --input T --output T --group G

Reads a batch, and hands one over, in one call each; a confirmation of each message is awaited, none is looked at. All
else is passthrough's, which is the yardstick. At least once only. Ends on SIGTERM.
"""

from __future__ import annotations

import argparse
import os
import signal
from types import FrameType
from typing import Any

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from kuaixun.worker.kafka.plugin import with_plugin
from kuaixun.worker.kafka.reading import Reading
from kuaixun.worker.kafka.sent_batches import SentBatches
from kuaixun.worker.messages import OutgoingColumns
from kuaixun.worker.records import Partition, Records
from kuaixun.worker.streams import Receipts
from tests.benchmarks.peers.collector import collect_seldom
from tests.benchmarks.stream.passthrough import BATCH, CONSUMER, IDLE_SECONDS, producer_properties, tails

FULL_SECONDS = 0.01  # how long the producer's queue is given where it is full


class PassthroughByBatch:
    """One member of the group. Raises RuntimeError where the worker's C++ is not built."""

    def __init__(self, bootstrap: str, topic: str, output: str, group: str) -> None:
        self.stopped = False
        self._output = output
        self._consumer = Consumer(
            {
                **CONSUMER,
                "bootstrap.servers": bootstrap,
                "group.id": group,
                "auto.offset.reset": "earliest",
                "auto.commit.interval.ms": 1000,
                **with_plugin(None),
            }
        )
        self._producer = Producer(
            {**producer_properties(os.environ), "bootstrap.servers": bootstrap, **with_plugin(None)}
        )
        self._reading = Reading(self._consumer, topic, _unexpected)
        sent = SentBatches.of(self._producer)
        if sent is None or not self._reading.by_batch:
            raise RuntimeError("this needs the worker's C++, which kuaixun is built with where there is a compiler")
        self._sent = sent
        self._consumer.subscribe([topic], on_assign=self._on_assign)
        self._tails = tails()

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        """A signal's handler."""
        self.stopped = True

    def run(self) -> None:
        """Until stopped."""
        while not self.stopped:
            records, events = self._reading.consume(BATCH, IDLE_SECONDS)
            for event in events:
                _unexpected(event.error)
            if records:
                self._produce(records)
            self._serve(0.0)
        self._producer.flush()
        self._reading.close()
        self._consumer.close()

    def _produce(self, records: Records) -> None:
        count = len(records)
        columns: dict[str, list[Any]] = {
            "topics": [self._output] * count,
            "partitions": records.partitions,
            "keys": records.keys,
            "values": [(value or b"") + tail for value, tail in zip(records.values, self._tails, strict=False)],
            "headers": records.headers,
            "timestamps_ms": records.timestamps_ms,
        }
        receipts = Receipts(count)
        while (taken := receipts.queued) < count:
            self._sent.send(OutgoingColumns(**{name: column[taken:] for name, column in columns.items()}), receipts)
            if receipts.queued < count:
                self._serve(FULL_SECONDS)

    def _serve(self, timeout_seconds: float) -> None:
        self._producer.poll(timeout_seconds)
        self._sent.report(_undelivered)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._reading.begin(Partition(one.topic, one.partition) for one in partitions)
        consumer.incremental_assign(partitions)


def _unexpected(error: KafkaError) -> None:
    raise RuntimeError(error.str())


def _undelivered(error: KafkaError, topic: str) -> Exception:
    raise RuntimeError(f"writing to {topic}: {error.str()}")


def main() -> None:
    """Move messages until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--bootstrap", "--input", "--output", "--group"):
        parser.add_argument(name, required=True)
    options = parser.parse_args()
    loop = PassthroughByBatch(options.bootstrap, options.input, options.output, options.group)
    signal.signal(signal.SIGTERM, loop.stop)
    collect_seldom()
    loop.run()


if __name__ == "__main__":
    main()
