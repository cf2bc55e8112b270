"""What a message costs a contender that runs already: one backlog after the other is let go, and drained.

Neither the start of a process nor its first fetch are in the figures: the processes have drained a backlog before. So a
small backlog can be measured by many of it. What is counted is the processor time of the processes, all threads and the
kernel's work for them included, from the moment before a backlog can be seen until shortly after its last outcome.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache

import numpy as np

from kuaixun.export.benchmark import drawn_texts
from kuaixun.export.bundle.reader import default_bundle_path, open_bundle
from tests.benchmarks.stream.contenders import Contender
from tests.benchmarks.stream.drain import started, wait_for_members
from tests.benchmarks.stream.progress import DrainError, Progress
from tests.benchmarks.stream.scaling.cases import Case
from tests.benchmarks.worker.backlog import HeldBacklogs, events, payloads
from tests.benchmarks.worker.own_topics import own_topics
from tests.benchmarks.worker.processes import Process
from tests.worker.topics import PATIENCE_SECONDS

LOOK_EVERY_SECONDS = 0.005
# After the last outcome stands in the output: its delivery reports, and a commit, are still to be handled.
SETTLE_SECONDS = 0.05
WARM_MESSAGES = 100_000
# Of a run, in several backlogs where they are small, but in no more than so many.
LEAST_MESSAGES = 200_000
MOST_BACKLOGS = 20
SLOWEST_PER_SECOND = 1_000  # slower than this, a drain is given up
TITLES = 10_000  # different ones of a length


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one run, medians of its backlogs: processor time for a message, of all processes together, and how many a
    second there were from a backlog's release to its last outcome.
    """

    contender: str
    case: Case
    processor_microseconds: float
    messages_per_second: float


def cost(
    contender: Contender,
    bootstrap: str,
    case: Case,
    warm_messages: int = WARM_MESSAGES,
    least_messages: int = LEAST_MESSAGES,
) -> Cost:
    """Measure a contender once, on topics of its own that are gone afterwards.

    `warm_messages` are drained before and do not count, then `least_messages` that do. Raises DrainError where a
    process ends, or does not get through.
    """
    with own_topics(bootstrap, case.partitions) as topics, started(contender, topics, case.processes) as members:
        outcomes = Progress(topics, case.partitions)
        held = HeldBacklogs(topics, values_of(case.characters), case.partitions)
        if case.processes > 1:
            wait_for_members(topics, case.processes)
        drained(outcomes, members, held, warm_messages)
        found = [
            drained(outcomes, members, held, case.messages) for _ in range(backlogs(case.messages, least_messages))
        ]
    processor_seconds, seconds = np.median(np.array(found), axis=0)  # (backlogs, 2) -> (2,)
    return Cost(
        contender.name,
        case,
        round(float(processor_seconds) / case.messages * 1e6, 3),
        round(case.messages / float(seconds), 1),
    )


def backlogs(messages: int, least_messages: int) -> int:
    """How many backlogs of this size a run drains.

    >>> backlogs(10_000, 200_000), backlogs(100_000, 200_000), backlogs(5_000_000, 200_000)
    (20, 2, 1)
    """
    return max(1, min(MOST_BACKLOGS, least_messages // messages))


@cache
def values_of(characters: int | None) -> list[bytes]:
    """The raw events that a backlog repeats: of titles with so many characters, or of the demo's."""
    if characters is None:
        return payloads()
    vocabulary = open_bundle(default_bundle_path()).pipeline.vocabulary
    # Without spaces, of which cleaning leaves one in a row: a title would be shorter than it is said to be, or empty.
    drawn = "".join("".join(drawn_texts(vocabulary, TITLES, lengths=(characters, 2 * characters))).split())
    return events([drawn[start : start + characters] for start in range(0, TITLES * characters, characters)])


def drained(outcomes: Progress, members: list[Process], held: HeldBacklogs, messages: int) -> tuple[float, float]:
    """Processor time and time of a backlog, in seconds.

    Raises DrainError where a member ends, does not get through, or reads what is not let go yet.
    """
    before = outcomes.count()
    held.write(messages)
    if early := outcomes.count() - before:
        raise DrainError(f"{early:,} outcomes of a backlog that was not let go yet: read committed records alone")
    wanted = before + messages
    processor = -sum(one.processor_seconds() for one in members)
    began = time.monotonic()
    held.let_go()
    most_seconds = PATIENCE_SECONDS + messages / SLOWEST_PER_SECOND
    last = outcomes.wait_for(wanted, members, most_seconds, LOOK_EVERY_SECONDS)
    if last.count < wanted:
        raise DrainError(f"{wanted - last.count:,} of {messages:,} messages do not come out: {members[0].said}")
    time.sleep(SETTLE_SECONDS)
    processor += sum(one.processor_seconds() for one in members)
    return processor, last.at_seconds - began
