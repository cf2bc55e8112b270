"""Headlines at a steady rate, in a process of its own: the load under which latency is measured.

`python -m tests.benchmarks.stream.traffic BOOTSTRAP TOPIC RATE SECONDS`

Each key is the moment that its headline was due, in nanoseconds since the first of them was, and not the moment that it
was handed to the client: what this process is late counts as latency, where else a machine that stands still for a
while would look fast. Prints one line of JSON at its end: when it began, by the machine's monotonic clock, and how late
99 % of the headlines were at most.

What can be made before it begins is, and the headlines of a tick go to the client in one call, as the worker's events
do, so that writing takes as little as it can of the cores that the measured share with it.
"""

from __future__ import annotations

import gc
import itertools
import json
import sys
import time
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from confluent_kafka import KafkaError, Producer

from kuaixun.worker.kafka.plugin import with_plugin
from kuaixun.worker.kafka.sent_batches import SentBatches
from kuaixun.worker.messages import OutgoingColumns
from kuaixun.worker.streams import Receipts
from tests.benchmarks.worker.backlog import payloads
from tests.worker.topics import PARTITIONS, PATIENCE_SECONDS

TICK_NANOSECONDS = 1_000_000
# No limit to the messages, and none met in kilobytes: a broker that stands still does not hold up who writes.
QUEUE = {"queue.buffering.max.messages": 0, "queue.buffering.max.kbytes": 4 << 20}


def due_after(rate: float, number: int) -> int:
    """When a headline is due, in nanoseconds since the first is: they are evenly spaced.

    >>> due_after(1e6, 2)
    2000
    """
    return int(number * 1e9 / rate)


def ticks(began: int, rate: float, total: int) -> Iterator[tuple[int, int]]:
    """Half-open ranges of the headlines that are due by now, one a tick, until all were. Sleeps in between."""
    sent, tick = 0, began
    while sent < total:
        now = time.monotonic_ns()
        due = min(total, int((now - began) * rate / 1e9) + 1)
        if due > sent:
            yield sent, due
            sent = due
        # By the clock and not after the work, or a tick would be longer the more there is to do. Ticks that are over
        # already are left out: what was due in them is due in the next.
        now = time.monotonic_ns()
        tick = max(tick + TICK_NANOSECONDS, now)
        time.sleep((tick - now) / 1e9)


def columns(topic: str, values: Sequence[bytes], rate: float, total: int) -> OutgoingColumns:
    """All headlines, those of a partition in the order in which they are due."""
    return OutgoingColumns(
        topics=[topic] * total,
        partitions=[number % PARTITIONS for number in range(total)],
        keys=[b"%d" % due_after(rate, number) for number in range(total)],
        values=[*itertools.islice(itertools.cycle(values), total)],
        headers=[()] * total,
        timestamps_ms=[None] * total,
    )


def write(sent: SentBatches, messages: OutgoingColumns, rate: float) -> tuple[int, Receipts, np.ndarray[Any, Any]]:
    """Hand each headline to the client when it is due.

    The moment that the first was due, in nanoseconds, what is to be reported of all, and how late each was handed over,
    in milliseconds: (messages,). Those of one tick count as handed over when the last of them is.
    """
    ends, at = array("q"), array("q")
    total = len(messages.keys)
    receipts = Receipts(total)
    began = time.monotonic_ns()
    for first, end in ticks(began, rate, total):
        sent.send(_part(messages, first, end), receipts)
        if receipts.queued != end:
            raise RuntimeError(f"headline {receipts.queued}: the client did not take it")
        ends.append(end)
        at.append(time.monotonic_ns())
        sent.report(_undelivered)
    since_due = np.repeat(at, np.diff(ends, prepend=0)) - began - np.arange(total) * 1e9 / rate  # (messages,)
    return began, receipts, since_due / 1e6


def _part(messages: OutgoingColumns, first: int, end: int) -> OutgoingColumns:
    return OutgoingColumns(
        topics=messages.topics[first:end],
        partitions=messages.partitions[first:end],
        keys=messages.keys[first:end],
        values=messages.values[first:end],
        headers=messages.headers[first:end],
        timestamps_ms=messages.timestamps_ms[first:end],
    )


def _undelivered(error: KafkaError, topic: str) -> Exception:
    return RuntimeError(f"a headline of the traffic did not come to {topic}: {error.str()}")


def main(bootstrap: str, topic: str, rate: str, seconds: str) -> None:
    """Write, a few each tick, as many as are due by then. Blocks until the broker has all."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "compression.type": "lz4",
            **QUEUE,
            **with_plugin(None),
        }
    )
    sent = SentBatches.of(producer)
    if sent is None:
        raise RuntimeError("this needs the worker's C++, which kuaixun is built with where there is a compiler")
    messages = columns(topic, payloads(), float(rate), int(float(rate) * float(seconds)))
    producer.list_topics(topic, timeout=PATIENCE_SECONDS)  # connects, so that the first are no later than the others
    gc.freeze()
    gc.disable()
    began, receipts, late_ms = write(sent, messages, float(rate))
    producer.flush()
    sent.report(_undelivered)
    if receipts.error is not None:
        raise receipts.error
    print(json.dumps({"began_nanoseconds": began, "late_p99_ms": float(np.quantile(late_ms, 0.99))}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
