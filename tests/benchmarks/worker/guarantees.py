"""Throughput exactly once as a share of at least once: the same backlog, workers of both in turn.

What must hold: a median of at least 0.9 at the default interval of transactions.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from confluent_kafka import Consumer, TopicPartition

from kuaixun.worker.delivery.promise import Guarantee
from tests.benchmarks.worker.backlog import write_backlog
from tests.benchmarks.worker.own_topics import own_topics
from tests.benchmarks.worker.processes import ended, worker
from tests.worker.topics import PARTITIONS, PATIENCE_SECONDS, Topics

LOOK_EVERY_SECONDS = 0.05
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Round:
    """Messages a second of both, measured one right after the other, and their ratio; processor time of the workers.

    That time says less of a busy machine, and more of the worker.
    """

    at_least_once: float
    exactly_once: float
    share: float
    at_least_once_microseconds: float
    exactly_once_microseconds: float


def measure(bootstrap: str, messages: int, rounds: int = ROUNDS) -> list[Round]:
    """Rounds in which either goes first in turn, after one of each that does not count."""
    with own_topics(bootstrap) as backlog:
        write_backlog(backlog, messages)
        return [_round(backlog, messages, number) for number in range(rounds + 1)][1:]


def _round(backlog: Topics, messages: int, number: int) -> Round:
    order = list(Guarantee) if number % 2 else list(reversed(Guarantee))
    cost = {}
    for delivery in order:
        with own_topics(backlog.bootstrap, delivery=delivery) as own:
            cost[delivery] = _drain(replace(own, input=backlog.input), messages)
    once, least = cost[Guarantee.EXACTLY_ONCE], cost[Guarantee.AT_LEAST_ONCE]
    return Round(
        at_least_once=round(messages / least.seconds),
        exactly_once=round(messages / once.seconds),
        share=round(least.seconds / once.seconds, 3),
        at_least_once_microseconds=round(least.processor_seconds / messages * 1e6, 2),
        exactly_once_microseconds=round(once.processor_seconds / messages * 1e6, 2),
    )


def median_share(rounds: list[Round]) -> float:
    """Of the rounds' ratios."""
    return statistics.median(one.share for one in rounds)


@dataclass(frozen=True, slots=True)
class _Cost:
    seconds: float
    processor_seconds: float


def _drain(topics: Topics, messages: int) -> _Cost:
    """From the first outcome on the broker to the last that counts: confirmed, or committed with its offset."""
    # As a reader of committed records it would wait for each transaction's end, and trouble the broker with it.
    looker = Consumer(
        {"bootstrap.servers": topics.bootstrap, "group.id": topics.group, "isolation.level": "read_uncommitted"}
    )
    inputs = [TopicPartition(topics.input, number) for number in range(PARTITIONS)]
    outputs = [TopicPartition(topics.output, number) for number in range(PARTITIONS)]

    def written() -> int:
        return sum(looker.get_watermark_offsets(place, timeout=PATIENCE_SECONDS)[1] for place in outputs)

    def committed() -> int:
        return sum(max(0, place.offset) for place in looker.committed(inputs, timeout=PATIENCE_SECONDS))

    done = committed if topics.delivery is Guarantee.EXACTLY_ONCE else written
    with ended(worker(topics)) as one:

        def wait_for(count: Callable[[], int], least: int) -> float:
            while count() < least:
                if one.process.poll() is not None:
                    raise RuntimeError(f"the worker ended: {''.join(one.said)}")
                time.sleep(LOOK_EVERY_SECONDS)
            return time.monotonic()

        began = wait_for(written, 1)
        processor_seconds = one.processor_seconds()
        seconds = wait_for(done, messages) - began
        processor_seconds = one.processor_seconds() - processor_seconds
    looker.close()
    return _Cost(seconds, processor_seconds)
