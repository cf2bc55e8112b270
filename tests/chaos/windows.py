"""What a fault excuses under at-least-once: that what was not committed when it struck comes again, and no more."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.chaos.inputs import PARTITIONS, offset, partition
from tests.chaos.schedule import Kind

# A fault that stops a process or its connections may stop it between an outcome and its commit. The other kinds give
# notice: a worker that is told to leave, or whose group grows, commits before it lets go; a swap is nobody's loss.
DISORDERLY = frozenset(Kind) - {Kind.TERMINATE, Kind.ADD, Kind.REMOVE, Kind.SWAP}
# What was queued in the client of a worker that is whole again is written then, next to what another has taken over.
LATE_SECONDS = 6.0


@dataclass(slots=True)
class Window:
    """From the strike of a disorderly fault until all that it may have disturbed is committed, in seconds of the run.

    `partitions` were held by the worker struck, or are all where it was the broker (`worker` is None then); `committed`
    says how far each of them was committed by then.
    """

    kind: Kind
    worker: int | None
    struck_seconds: float
    committed: Mapping[int, int]
    partitions: frozenset[int]
    whole_seconds: float = math.inf
    sent_when_whole: int = 0
    end_seconds: float = math.inf
    repeats: int = 0

    def covers(self, number: int, first_seconds: float) -> bool:
        """Whether an input may have been written and not committed when it struck, or before all was whole again."""
        lane = partition(number)
        return (
            lane in self.partitions
            and offset(number) >= self.committed[lane]
            and first_seconds <= min(self.whole_seconds + LATE_SECONDS, self.end_seconds)
        )


class Repeat(NamedTuple):
    """An input whose outcome came again, and when it came first and again."""

    number: int
    first_seconds: float
    again_seconds: float


@dataclass(slots=True)
class Attribution:
    """The repeats by the kind of fault that they came of, and those that came of none."""

    by_kind: Counter[Kind] = field(default_factory=Counter)
    unexplained: list[Repeat] = field(default_factory=list)


def attributed(repeats: Iterable[Repeat], windows: Sequence[Window]) -> Attribution:
    """Each repeat to the latest fault that can have caused it, which counts it in its `repeats`."""
    found = Attribution()
    latest_first = sorted(windows, key=lambda window: -window.struck_seconds)
    for repeat in repeats:
        for window in latest_first:
            in_time = window.struck_seconds <= repeat.again_seconds <= window.end_seconds
            if in_time and window.covers(repeat.number, repeat.first_seconds):
                window.repeats += 1
                found.by_kind[window.kind] += 1
                break
        else:
            found.unexplained.append(repeat)
    return found


def inputs_covered(windows: Iterable[Window], first_seconds: Sequence[float]) -> int:
    """How many inputs some window covers: a repeat of these proves nothing, one of the others breaks the promise.

    `first_seconds` is by input's number, 0 where none has come.
    """
    covered = bytearray(len(first_seconds))
    for window in windows:
        for lane in window.partitions:
            for number in range(window.committed[lane] * PARTITIONS + lane, len(first_seconds), PARTITIONS):
                if not window.covers(number, first_seconds[number]):
                    break
                covered[number] = 1
    return sum(covered)
