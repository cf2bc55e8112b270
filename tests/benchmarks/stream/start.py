"""From the start of a process to its first event in the output."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.benchmarks.stream.contenders import Contender
from tests.benchmarks.stream.drain import Backlog, started
from tests.benchmarks.stream.progress import Progress
from tests.benchmarks.worker.own_topics import own_topics


@dataclass(frozen=True, slots=True)
class Start:
    """From the process's beginning to the first event in the output, and what it has resident then."""

    contender: str
    seconds: float
    resident_megabytes: float


def start(contender: Contender, backlog: Backlog) -> Start:
    """Headlines wait; nothing of the group is known to the broker."""
    with own_topics(backlog.topics.bootstrap) as own:
        topics = replace(own, input=backlog.topics.input)
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
