"""The account of a run: every headline sent has an outcome, and at which price."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

PROMISES = ("lost", "disordered", "wrong", "ended_in_disorder")
"""The figures of a run that must be 0."""


def verdict(totals: Mapping[str, int]) -> int:
    """The exit code of a run."""
    return int(any(totals[promise] for promise in PROMISES))


class Outcome(StrEnum):
    """What becomes of an input."""

    LABELLED = "labelled"
    DEAD_LETTERED = "dead_lettered"
    TOMBSTONE = "tombstones"


@dataclass(frozen=True, slots=True)
class Sent:
    """An input: its number among all, the partition it was sent to, and what must become of it."""

    number: int
    partition: int
    expected: Outcome


class Account:
    """Inputs by key against the outputs, read as any consumer would; nothing that a worker says is believed."""

    def __init__(self) -> None:
        self._sent: dict[str, Sent] = {}
        self._outputs: dict[str, Counter[Outcome]] = {}
        self._latest: dict[tuple[str, int, int], int] = {}
        self._disordered = 0
        self._strangers = 0

    def send(self, key: str, sent: Sent) -> None:
        """Enter an input. Numbers grow along each partition."""
        self._sent[key] = sent

    def receive(self, key: str, outcome: Outcome, topic: str, partition: int) -> None:
        """Enter an output; those of one topic and partition come in their order there.

        An output that comes again is no disorder; one that comes for the first time after a later one is.
        """
        sent = self._sent.get(key)
        if sent is None:
            self._strangers += 1
            return
        if key not in self._outputs:
            lane = (topic, partition, sent.partition)
            latest = self._latest.get(lane, -1)
            self._disordered += sent.number < latest
            self._latest[lane] = max(sent.number, latest)
        self._outputs.setdefault(key, Counter())[outcome] += 1

    @property
    def missing(self) -> list[str]:
        """The keys of inputs that have no output so far: once all is read, the lost ones."""
        return [key for key in self._sent if key not in self._outputs]

    def totals(self) -> dict[str, int]:
        """The run in figures. `wrong` counts outputs of the wrong kind and outputs that no input asked for."""
        outcomes = Counter(self._sent[key].expected for key in self._outputs)
        return {
            "sent": len(self._sent),
            "consumed": len(self._outputs),
            **{outcome.value: outcomes[outcome] for outcome in Outcome},
            "lost": len(self.missing),
            "duplicated": sum(outputs.total() - 1 for outputs in self._outputs.values()),
            "disordered": self._disordered,
            "wrong": self._strangers
            + sum(outputs.total() - outputs[self._sent[key].expected] for key, outputs in self._outputs.items()),
        }
