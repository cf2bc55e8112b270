"""The longest gap in any partition's output while a second worker joins, leaves, and is killed under a steady load.

Beside it two bare consumers of the same protocol, which join, leave and are killed at the same moments. What must hold
for joining and leaving: 3 s at most with the eager protocol, 1 s with the others. One that is killed is missed when its
session is over, and under exactly-once when its open transaction is, by its timeout.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from confluent_kafka import Consumer, Producer, TopicPartition

from kuaixun.worker.delivery.promise import Guarantee
from kuaixun.worker.kafka.membership import GroupProtocol
from tests.benchmarks.worker.arrivals import Arrivals
from tests.benchmarks.worker.processes import Process, ended, worker
from tests.worker.test_contract import news
from tests.worker.topics import PARTITIONS, Topics

LOAD_EVERY_SECONDS = 0.01  # a message to each partition
SETTLE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Gap:
    """In seconds, as a ratio to the bare consumers' in the same moment, and as a share of the session's timeout."""

    protocol: str
    delivery: str
    what: str
    seconds: float
    bare_seconds: float
    of_bare: float
    of_session: float


def measure(bootstrap: str, session_ms: int) -> list[Gap]:
    """Each protocol under each guarantee; `session_ms` is the broker's for members under KIP-848."""
    return [
        gap
        for protocol in GroupProtocol
        for delivery in Guarantee
        for gap in _measure(Topics.create(bootstrap, real=True, delivery=delivery), protocol, session_ms)
    ]


def _measure(topics: Topics, protocol: GroupProtocol, session_ms: int) -> Iterator[Gap]:
    of_workers, of_bare = Arrivals(), Arrivals()

    def members() -> list[Process]:
        return [worker(topics, protocol=protocol), _bare(topics, protocol, session_ms, of_bare)]

    with ExitStack() as stack:
        for first in members():
            stack.enter_context(ended(first)).wait_for_share()
        stack.enter_context(_steady_load(topics))
        stack.enter_context(_noted(topics, of_workers))
        while not (of_workers.count() and of_bare.count()):
            time.sleep(0.05)
        time.sleep(SETTLE_SECONDS)

        def gap(what: str, begin: float) -> Gap:
            end = time.monotonic()
            seconds, bare_seconds = (one.longest_gap_seconds(begin, end) for one in (of_workers, of_bare))
            return Gap(
                protocol=protocol,
                delivery=topics.delivery,
                what=what,
                seconds=round(seconds, 2),
                bare_seconds=round(bare_seconds, 2),
                of_bare=round(seconds / bare_seconds, 2),
                of_session=round(seconds / (session_ms / 1000), 3),
            )

        for number, what in ((signal.SIGTERM, "leaves"), (signal.SIGKILL, "killed")):
            begin = time.monotonic()
            second = [stack.enter_context(ended(one)) for one in members()]
            for one in second:
                one.wait_for_share()
            time.sleep(SETTLE_SECONDS)
            if number is signal.SIGTERM:
                yield gap("joins", begin)
            begin = time.monotonic()
            for one in second:
                one.process.send_signal(number)
            for one in second:
                one.process.wait()
            gone = time.monotonic() + SETTLE_SECONDS  # what they had sent has arrived by then
            while not (of_workers.resumed(gone, PARTITIONS) and of_bare.resumed(gone, PARTITIONS)):
                time.sleep(0.05)
            yield gap(what, begin)


def _bare(topics: Topics, protocol: GroupProtocol, session_ms: int, arrivals: Arrivals) -> Process:
    command = [sys.executable, "-m", "tests.benchmarks.worker.bare_member", topics.bootstrap, topics.input]
    bare = Process([*command, f"{topics.group}.bare", protocol, str(session_ms)], stdout=subprocess.PIPE)

    def listen() -> None:
        assert bare.process.stdout is not None
        for line in bare.process.stdout:
            at_seconds, partition = line.split()
            arrivals.add(float(at_seconds), int(partition))

    threading.Thread(target=listen, daemon=True).start()
    return bare


@contextmanager
def _steady_load(topics: Topics) -> Iterator[None]:
    producer = Producer({"bootstrap.servers": topics.bootstrap, "linger.ms": 1})

    def load(done: threading.Event) -> None:
        number = 0
        while not done.wait(LOAD_EVERY_SECONDS):
            for partition in range(PARTITIONS):
                producer.produce(topics.input, news(f"n{number}", "沪指午后拉升收涨1.2%"), partition=partition)
                number += 1
            producer.poll(0)
        producer.flush()

    with _meanwhile(load):
        yield


@contextmanager
def _noted(topics: Topics, arrivals: Arrivals) -> Iterator[None]:
    """Reads the output as its readers do, committed records alone."""
    reader = Consumer({"bootstrap.servers": topics.bootstrap, "group.id": "reader", "fetch.wait.max.ms": 20})
    reader.assign([TopicPartition(topics.output, number, 0) for number in range(PARTITIONS)])

    def read(done: threading.Event) -> None:
        while not done.is_set():
            for message in reader.consume(1000, 0.02):
                if message.error() is None:
                    arrivals.add(time.monotonic(), message.partition() or 0)
        reader.close()

    with _meanwhile(read):
        yield


@contextmanager
def _meanwhile(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Work in a thread, which is told when the context is done and then waited for."""
    done = threading.Event()
    thread = threading.Thread(target=work, args=(done,))
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
