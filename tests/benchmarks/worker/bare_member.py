"""A member of a group that only reads: it prints when each message came, and of which partition.

`python -m tests.benchmarks.worker.bare_member BOOTSTRAP TOPIC GROUP PROTOCOL SESSION_MS`
"""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType

from confluent_kafka import Consumer, TopicPartition

from kuaixun.worker.kafka.membership import PROPERTIES, GroupProtocol


def main(bootstrap: str, topic: str, group: str, protocol: str, session_ms: str) -> None:
    """Read until SIGTERM."""
    stopped: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stopped.append(number)

    def assigned(_consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        print("assigned", file=sys.stderr, flush=True)

    signal.signal(signal.SIGTERM, stop)
    of_the_protocol = PROPERTIES[GroupProtocol(protocol)]
    session = (
        {} if protocol == GroupProtocol.CONSUMER else {"session.timeout.ms": session_ms, "heartbeat.interval.ms": 300}
    )
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "latest",
            "fetch.wait.max.ms": 20,
            **of_the_protocol,
            **session,
        }
    )
    consumer.subscribe([topic], on_assign=assigned)
    while not stopped:
        message = consumer.poll(0.05)
        if message is not None and message.error() is None:
            print(f"{time.monotonic():.4f} {message.partition()}", flush=True)
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
