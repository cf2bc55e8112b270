"""Headlines at a steady rate, in a process of its own: the load under which latency is measured.

`python -m tests.benchmarks.stream.traffic BOOTSTRAP TOPIC RATE SECONDS`

Each key is the moment that its headline was due, in nanoseconds of the machine's monotonic clock, and not the moment
that it was handed to the client: what this process is late counts as latency, where else a machine that stands still
for a while would look fast. Prints one line of JSON at its end, which says how late it was.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Iterator

import numpy as np
from confluent_kafka import Producer

from tests.benchmarks.worker.backlog import payloads
from tests.worker.topics import PARTITIONS, PATIENCE_SECONDS

TICK_NANOSECONDS = 1_000_000
QUEUE_MESSAGES = 1_000_000  # so that a broker that stands still for seconds does not hold up who writes


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


def main(bootstrap: str, topic: str, rate: str, seconds: str) -> None:
    """Write, a few each tick, as many as are due by then."""
    values = payloads()
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "compression.type": "lz4",
            "linger.ms": 1,
            "queue.buffering.max.messages": QUEUE_MESSAGES,
        }
    )
    producer.list_topics(topic, timeout=PATIENCE_SECONDS)  # connects, so that the first are no later than the others
    gc.freeze()
    gc.disable()
    per_second, late_nanoseconds = float(rate), []
    began = time.monotonic_ns()
    for first, end in ticks(began, per_second, int(per_second * float(seconds))):
        late_nanoseconds.append(time.monotonic_ns() - due_at(began, per_second, first))
        for number in range(first, end):
            due = due_at(began, per_second, number)
            while True:
                try:
                    producer.produce(topic, values[number % len(values)], b"%d" % due, number % PARTITIONS)
                    break
                except BufferError:
                    producer.poll(0.01)
        producer.poll(0)
    producer.flush()
    p50, p99, most = np.quantile(late_nanoseconds, (0.5, 0.99, 1)) / 1e6
    said = {
        "began_nanoseconds": began,
        "late_p50_ms": p50,
        "late_p99_ms": p99,
        "late_most_ms": most,
        "processor_seconds": time.process_time(),
    }
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
