"""Headlines at a steady rate, in a process of its own.

`python -m tests.benchmarks.stream.traffic BOOTSTRAP TOPIC RATE SECONDS`

Each key is the moment that its headline was handed to the client, in nanoseconds of the machine's monotonic clock.
"""

from __future__ import annotations

import sys
import time

from confluent_kafka import Producer

from tests.benchmarks.worker.backlog import payloads
from tests.worker.topics import PARTITIONS

TICK_SECONDS = 0.001


def main(bootstrap: str, topic: str, rate: str, seconds: str) -> None:
    """Write, a few each tick, as many as are due by then."""
    values = payloads()
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": "lz4", "linger.ms": 1})
    began, sent, total = time.monotonic(), 0, int(float(rate) * float(seconds))
    while sent < total:
        due = min(total, int((time.monotonic() - began) * float(rate)))
        for number in range(sent, due):
            producer.produce(topic, values[number % len(values)], b"%d" % time.monotonic_ns(), number % PARTITIONS)
        sent = max(sent, due)
        producer.poll(0)
        time.sleep(TICK_SECONDS)
    producer.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
