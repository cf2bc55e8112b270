"""The yardstick: consumes headlines and produces as many bytes as their labelled events have, and does nothing else.

    python -m tests.benchmarks.stream.passthrough --bootstrap B --input T --output T --group G [--delivery exactly-once]

The same client library and settings as the worker's, but for a consumer that fetches more ahead, which is known to be
faster. The producer's are the worker's own: with a longer linger passthrough moves more and is later, as the worker
does, so that none is given to one of them alone. `PASSTHROUGH_PRODUCER={"linger.ms": 20}` gives it to passthrough, as
`KUAIXUN_PRODUCER` does to the worker; a run's figures name both.

Key, headers, timestamp and partition are carried over. At least once each message has a delivery callback. In
transactions none has, as the worker's have none, for a message that fails spoils its transaction; and what has come is
read on while one ends. A rebalance is not provided for: whoever measures has all members there before the headlines.
What it writes compresses as labelled events do, to within a fifteenth. Ends on SIGTERM.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from types import FrameType
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from kuaixun.worker.kafka.client_defaults import CONSUMER_DEFAULTS, PRODUCER_DEFAULTS
from tests.benchmarks.peers.collector import collect_seldom

CONSUMER = {
    **CONSUMER_DEFAULTS,
    "session.timeout.ms": "6000",  # as the worker's here: who is killed is soon forgotten
    "group.protocol": "classic",
    "partition.assignment.strategy": "cooperative-sticky",
    # With the client's own a bare loop moves half as many; in memory that the worker must not take.
    "queued.max.messages.kbytes": "204800",
    "queued.min.messages": "1000000",
    "fetch.message.max.bytes": "8388608",
    "fetch.max.bytes": "52428800",
    "fetch.queue.backoff.ms": "10",
}
PRODUCER = {**PRODUCER_DEFAULTS, "enable.idempotence": True, "queue.buffering.max.messages": "1000000"}
PRODUCER_VARIABLE = "PASSTHROUGH_PRODUCER"
GUARANTEES = ("at-least-once", "exactly-once")
BATCH = 10_000
IDLE_SECONDS = 0.1
TRANSACTION_SECONDS = 0.1
AHEAD = 3 * BATCH  # may be read while a transaction ends
END_LOOK_SECONDS = 0.001
# What a labelled event has beside what its raw one had: figures differ from event to event, times from batch to batch.
TAIL = (
    ',"label":"%s","confidence":%.6f,"scores":{"%s":%.6f,"%s":%.6f,"%s":%.6f},'
    '"model":"3c5d77de0ae6b2a4","origin":{"topic":"news.raw","partition":0,"offset":%d},'
    '"received_at":"2026-05-06T01:30:%02d.123456Z","labelled_at":"2026-05-06T01:30:%02d.234567Z"}'
)
LABELS = (
    "finance",
    "realty",
    "stocks",
    "education",
    "science",
    "society",
    "politics",
    "sports",
    "game",
    "entertainment",
)
LIKE_TIMES = 1_000
DIFFERENT = 2_048  # several times what LZ4 looks back on, and made in a hundredth of a second


def tails() -> Iterator[bytes]:
    """Without end. Without numpy, too: a bare loop starts without."""
    drawn = random.Random(1)
    made = []
    for number in range(DIFFERENT):
        labels = drawn.sample(LABELS, 3)
        top = 1 - drawn.random() ** 6 / 2
        second = drawn.uniform(0.5, 1) * (1 - top)
        scores = (top, second, 1 - top - second)
        figures = [figure for place in (0, 0, 1, 2) for figure in (labels[place], scores[place])]
        moment = number // LIKE_TIMES
        made.append((TAIL % (*figures, 1_234_567 + number, moment, moment)).encode())
    return itertools.cycle(made)


def producer_properties(environment: Mapping[str, str]) -> dict[str, Any]:
    """The producer's, with those that the environment gives as a JSON object.

    >>> producer_properties({"PASSTHROUGH_PRODUCER": '{"linger.ms": 20}'})["linger.ms"]
    20
    """
    return {**PRODUCER, **json.loads(environment.get(PRODUCER_VARIABLE) or "{}")}


class Passthrough:
    """One member of the group."""

    def __init__(self, bootstrap: str, topic: str, output: str, group: str, delivery: str) -> None:
        self.stopped = False
        self._output = output
        self._in_transactions = delivery == "exactly-once"
        self._consumer = Consumer(
            {
                **CONSUMER,
                "bootstrap.servers": bootstrap,
                "group.id": group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": not self._in_transactions,
                "auto.commit.interval.ms": 1000,
            }
        )
        of_transactions = {"transactional.id": f"{group}-{time.monotonic_ns()}", "delivery.report.only.error": True}
        of_the_guarantee = of_transactions if self._in_transactions else {}
        self._producer = Producer(
            {**producer_properties(os.environ), "bootstrap.servers": bootstrap, **of_the_guarantee}
        )
        self._thread = ThreadPoolExecutor(1)
        if self._in_transactions:
            self._producer.init_transactions()
        self._consumer.subscribe([topic])
        self._delivered = 0
        self._tails = tails()

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        """A signal's handler."""
        self.stopped = True

    def run(self) -> None:
        """Until stopped."""
        began_at = 0.0
        ahead: list[Message] = []
        while not self.stopped:
            messages, ahead = ahead or self._read(), []
            if messages:
                if self._in_transactions and not began_at:
                    self._producer.begin_transaction()
                    began_at = time.monotonic()
                self._produce(messages)
            self._producer.poll(0)
            if began_at and time.monotonic() - began_at >= TRANSACTION_SECONDS:
                ahead = self._commit()
                began_at = 0.0
        if began_at:
            self._commit()
        self._thread.shutdown()
        self._producer.flush()
        self._consumer.close()

    def _read(self) -> list[Message]:
        messages = self._consumer.consume(1, IDLE_SECONDS)
        return messages + self._consumer.consume(BATCH, 0) if messages else messages

    def _produce(self, messages: list[Message]) -> None:
        produce, output = self._producer.produce, self._output
        delivered = None if self._in_transactions else self._on_delivery
        for message, tail in zip(messages, self._tails, strict=False):
            if message.error() is not None:
                continue
            value = (message.value() or b"") + tail
            while True:
                try:
                    produce(
                        output,
                        value,
                        message.key(),
                        message.partition() or 0,
                        delivered,
                        None,  # the same under its other name
                        message.timestamp()[1],
                        message.headers(),  # as consumed: None where there are none
                    )
                    break
                except BufferError:
                    self._producer.poll(0.01)

    def _commit(self) -> list[Message]:
        """End the transaction, in a thread. What was read meanwhile, which is none of its: it is for the next one."""
        offsets = self._consumer.position(self._consumer.assignment())
        ending = self._thread.submit(self._end, offsets, self._consumer.consumer_group_metadata())
        ahead: list[Message] = []
        while not ending.done():
            if len(ahead) < AHEAD:
                ahead += self._consumer.consume(BATCH, 0)
            wait([ending], END_LOOK_SECONDS)
        ending.result()
        return ahead

    def _end(self, offsets: list[TopicPartition], member: object) -> None:
        self._producer.send_offsets_to_transaction(offsets, member)
        self._producer.commit_transaction()

    def _on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            raise KafkaException(error)
        self._delivered += 1


def main() -> None:
    """Move messages until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--bootstrap", "--input", "--output", "--group"):
        parser.add_argument(name, required=True)
    parser.add_argument("--delivery", choices=GUARANTEES, default="at-least-once")
    options = parser.parse_args()
    loop = Passthrough(options.bootstrap, options.input, options.output, options.group, options.delivery)
    signal.signal(signal.SIGTERM, loop.stop)
    collect_seldom()
    loop.run()


if __name__ == "__main__":
    main()
