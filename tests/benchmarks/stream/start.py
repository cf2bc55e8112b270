"""From the start of a process to its first event in the output."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tests.benchmarks.stream.contenders import CONTENDERS, Contender
from tests.benchmarks.stream.drain import Backlog, started
from tests.benchmarks.stream.progress import DrainError, Progress
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
        began = time.monotonic()
        with started(contender, topics, 1) as members:
            progress.wait_for(1, members, every_seconds=0.002)
            seconds = time.monotonic() - began
            resident = members[0].kilobytes("VmRSS") / 1024
        progress.close()
    return Start(contender.name, round(seconds, 3), round(resident, 1))


def measure(names: Sequence[str], backlog: Backlog, rounds: int) -> Iterator[tuple[int, str, Start | DrainError]]:
    """Rounds over all contenders, every other one backwards: whoever is first of a busy minute is not always the same.

    Who does not come to an event is told of and left out of that round.
    """
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            try:
                yield number, name, start(CONTENDERS[name], backlog)
            except DrainError as error:
                yield number, name, error


def summed_up(found: Sequence[Start]) -> list[Start]:
    """A row a contender, in the order of the first round: the medians of its starts."""
    of: dict[str, list[Start]] = defaultdict(list)
    for one in found:
        of[one.contender].append(one)
    return [
        Start(
            contender,
            round(statistics.median(one.seconds for one in starts), 3),
            round(statistics.median(one.resident_megabytes for one in starts), 1),
        )
        for contender, starts in of.items()
    ]
