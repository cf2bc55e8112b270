"""Headlines at a steady rate, in a process of its own: the load under which latency is measured.

`python -m tests.benchmarks.stream.traffic BOOTSTRAP TOPIC RATE SECONDS`

Each key is the moment that its headline was due, in nanoseconds of the machine's monotonic clock, and not the moment
that it was handed to the client: what this process is late counts as latency, where else a machine that stands still
for a while would look fast. Prints one line of JSON at its end: when it began, and how late 99 % of the headlines were
at most.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from confluent_kafka import Producer

from tests.benchmarks.worker.backlog import payloads
from tests.worker.topics import PARTITIONS, PATIENCE_SECONDS

TICK_NANOSECONDS = 1_000_000
# No limit to the messages, and none met in kilobytes: a broker that stands still does not hold up who writes.
QUEUE = {"queue.buffering.max.messages": 0, "queue.buffering.max.kbytes": 4 << 20}


def due_at(began: int, rate: float, number: int) -> int:
    """When a headline is due, in nanoseconds: they are evenly spaced.

    >>> due_at(5_000, 1e6, 2)
    7000
    """
    return began + int(number * 1e9 / rate)


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


def write(
    producer: Producer, topic: str, values: Sequence[bytes], rate: float, total: int
) -> tuple[int, np.ndarray[Any, Any]]:
    """Hand each headline to the client when it is due. Blocks until the broker has all.

    The moment that the first was due, in nanoseconds, and how late each was handed over, in milliseconds: (total,).
    Those of one tick count as handed over when the last of them is. They go to the client partition by partition, in
    one call each, so that writing takes as little as it can of the cores that the measured share with it.
    """
    ends, at = array("q"), array("q")
    began = time.monotonic_ns()
    for first, end in ticks(began, rate, total):
        for partition in range(PARTITIONS):
            messages = [
                {"value": values[number % len(values)], "key": b"%d" % due_at(began, rate, number)}
                for number in range(first + (partition - first) % PARTITIONS, end, PARTITIONS)
            ]
            if messages and producer.produce_batch(topic, messages, partition) != len(messages):
                raise RuntimeError(f"partition {partition}: the client did not take all of {len(messages)} headlines")
        ends.append(end)
        at.append(time.monotonic_ns())
        producer.poll(0)
    producer.flush()
    since_due = np.repeat(at, np.diff(ends, prepend=0)) - began - np.arange(total) * 1e9 / rate  # (total,)
    return began, since_due / 1e6


def main(bootstrap: str, topic: str, rate: str, seconds: str) -> None:
    """Write, a few each tick, as many as are due by then."""
    values = payloads()
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "compression.type": "lz4",
            **QUEUE,
        }
    )
    producer.list_topics(topic, timeout=PATIENCE_SECONDS)  # connects, so that the first are no later than the others
    gc.freeze()
    gc.disable()
    began, late_ms = write(producer, topic, values, float(rate), int(float(rate) * float(seconds)))
    print(json.dumps({"began_nanoseconds": began, "late_p99_ms": float(np.quantile(late_ms, 0.99))}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
