"""What is varied: one thing at a time, everything else as in the middle of the road."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tests.benchmarks.stream.contenders import CONTENDERS
from tests.worker.topics import PARTITIONS

Series: TypeAlias = Literal["partitions", "messages", "characters", "processes"]

# What is asked for. A character is one of a title's; all else of a message stays as it is.
POINTS: dict[Series, tuple[int, ...]] = {
    "partitions": (1, 4, 16, 64),
    "messages": (10_000, 100_000, 1_000_000, 5_000_000),
    "characters": (4, 8, 16, 32, 64, 128),
    "processes": (1, 2),
}
# Who can be measured so: a backlog is held in a transaction, which a peer on aiokafka would read while it is written,
# and several processes are to share it.
SCALED = tuple(name for name, one in CONTENDERS.items() if one.shares)
MESSAGES = 500_000  # of each backlog where their number is not what is varied


@dataclass(frozen=True, slots=True)
class Case:
    """A point of a series: so many messages in so many partitions wait for so many processes of one group.

    Titles are the demo's, or of exactly so many `characters`.
    """

    series: Series
    partitions: int = PARTITIONS
    messages: int = MESSAGES
    characters: int | None = None
    processes: int = 1

    @property
    def point(self) -> int:
        """The value of what is varied."""
        value = getattr(self, self.series)
        if not isinstance(value, int):
            raise TypeError(f"{self} does not say what it varies")
        return value


def cases(series: Sequence[Series], messages: int = MESSAGES, most_messages: int | None = None) -> list[Case]:
    """Every point of these series; `most_messages` leaves out the points of more messages, for a short run."""
    found = []
    for name in series:
        for point in POINTS[name]:
            if name == "partitions":
                found.append(Case(name, messages=messages, partitions=point))
            elif name == "messages":
                if most_messages is None or point <= most_messages:
                    found.append(Case(name, messages=point))
            elif name == "characters":
                found.append(Case(name, messages=messages, characters=point))
            else:
                found.append(Case(name, messages=messages, processes=point))
    return found
