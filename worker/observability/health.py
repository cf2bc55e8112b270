"""Whether the worker is started, ready and alive, for probes: said by its loop's turns and not by its existence."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """Yes or no, and a word on why."""

    yes: bool
    why: str


WAITING = Answer(False, "waiting for a share of the partitions")


class Health:
    """Told of the loop's turns by its thread, asked by any other. `monotonic` is a clock in seconds.

    A loop that has stood still for longer than `stuck_seconds` is not alive; until its first turn there is none that
    could stand still, and the start has limits of its own.
    """

    def __init__(
        self,
        stuck_seconds: float,
        leaving: Callable[[], bool],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stuck_seconds, self._leaving, self._monotonic = stuck_seconds, leaving, monotonic
        self._turned_at: float | None = None
        self._joined = self._has_joined = False

    def turned(self, joined: bool) -> None:
        """The loop has turned; `joined` while the group has given this worker its share."""
        self._joined = joined
        self._has_joined = self._has_joined or joined
        self._turned_at = self._monotonic()

    @property
    def since_turn_seconds(self) -> float | None:
        """How long ago the last turn was, None before the first."""
        return None if self._turned_at is None else self._monotonic() - self._turned_at

    def live(self) -> Answer:
        """Whether the loop turns, or does not have to yet."""
        seconds = self.since_turn_seconds
        if seconds is None:
            return Answer(True, "starting")
        if seconds > self._stuck_seconds:
            return Answer(False, f"the loop has stood still for {seconds:.0f} s")
        return Answer(True, "the loop turns")

    def started(self) -> Answer:
        """Whether the bundle is verified, the brokers have answered, and the group has given this worker its share."""
        if self._turned_at is None:
            return Answer(False, "the bundle, the topics and the rights are being checked")
        return Answer(True, "started") if self._has_joined else WAITING

    def ready(self) -> Answer:
        """Whether it is started, alive, a member of its group, and not about to leave."""
        if self._leaving():
            return Answer(False, "leaving")
        for answer in (self.live(), self.started()):
            if not answer.yes:
                return answer
        return Answer(True, "ready") if self._joined else WAITING
