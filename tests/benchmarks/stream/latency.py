"""From produce to labelled event received, at shares of the worker's own maximum; and from start to the first event.

The reader looks at one partition of the output, for on two cores a reader of all would be a fourth of the load.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from confluent_kafka import Consumer, TopicPartition

from tests.benchmarks.stream.contenders import Contender
from tests.benchmarks.stream.drain import Backlog, Progress, started
from tests.benchmarks.worker.backlog import write_backlog
from tests.worker.topics import PARTITIONS, PATIENCE_SECONDS, Topics

WARM_SHARE = 0.3  # of the time, that does not count
QUANTILES = (0.5, 0.99, 0.999)


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds; `arrived` is the share of the headlines, in the partition looked at, that came in time."""

    contender: str
    share_of_maximum: float
    messages_per_second: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    arrived: float


def latency(contender: Contender, bootstrap: str, share: float, rate: float, seconds: float) -> Latency:
    """One contender at one rate."""
    topics = Topics.create(bootstrap, real=True)
    write_backlog(topics, 100)
    progress = Progress(topics)
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "fetch.wait.max.ms": 5})
    with started(contender, topics, 1) as members:
        progress.wait_for(100, members)
        progress.close()
        reader.assign([TopicPartition(topics.output, 0, 100 // PARTITIONS)])
        traffic = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.stream.traffic", bootstrap, topics.input, str(rate), str(seconds)]
        )
        expected = int(rate * seconds) // PARTITIONS
        milliseconds: list[float] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(milliseconds) < expected and time.monotonic() < deadline:
            if traffic.poll() is not None:
                deadline = min(deadline, time.monotonic() + 2 * seconds)
            messages = reader.consume(1, 0.1)
            messages += reader.consume(10_000, 0)
            now = time.monotonic_ns()
            milliseconds += [(now - int(message.key() or 0)) / 1e6 for message in messages]
        traffic.wait()
    reader.close()
    counted = milliseconds[int(WARM_SHARE * expected) :] or [float("inf")]
    p50, p99, p999 = (round(float(value), 2) for value in np.quantile(counted, QUANTILES))
    return Latency(contender.name, share, round(rate), p50, p99, p999, round(len(milliseconds) / expected, 4))


@dataclass(frozen=True, slots=True)
class Start:
    """From the process's beginning to the first event in the output, and what it has resident then."""

    contender: str
    seconds: float
    resident_megabytes: float


def start(contender: Contender, backlog: Backlog) -> Start:
    """Headlines wait; nothing of the group is known to the broker."""
    topics = replace(Topics.create(backlog.topics.bootstrap, real=True), input=backlog.topics.input)
    progress = Progress(topics)
    progress.count()
    began = time.monotonic()
    with started(contender, topics, 1) as members:
        progress.wait_for(1, members, every_seconds=0.002)
        seconds = time.monotonic() - began
        resident = members[0].kilobytes("VmRSS") / 1024
    progress.close()
    return Start(contender.name, round(seconds, 3), round(resident, 1))


def median_start(found: Sequence[Start]) -> Start:
    """By the seconds."""
    return sorted(found, key=lambda one: one.seconds)[len(found) // 2]
