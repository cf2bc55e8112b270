"""What the loop asks of a guarantee: take outcomes, bring them to the broker, commit past them, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from kuaixun.worker.outcomes import Outcome, OutcomeCounts
from kuaixun.worker.records import Record
from kuaixun.worker.streams import GroupListener

REPORT_SECONDS = 0.05
DRAIN_SHARE = 0.6  # of the shutdown budget goes to confirmations, the rest to commit and close
CLOSE_SHARE = 0.95  # of it may be gone when both clients are closed, for where it is over the process is ended

Observer: TypeAlias = Callable[[Sequence[Record], Sequence[Outcome]], None]
"""Called with each batch once it is confirmed: its records and, parallel to them, their final outcomes."""


class Guarantee(StrEnum):
    """How often an input's outcome may stand on the output topics: at least once, or exactly once."""

    AT_LEAST_ONCE = "at-least-once"
    EXACTLY_ONCE = "exactly-once"


@dataclass(frozen=True, slots=True)
class Pace:
    """How much at once, how often, and for how long at most. The last three are of exactly-once alone.

    `max_batch` and `max_in_flight` count records.
    """

    max_batch: int
    max_delay_seconds: float
    max_in_flight: int
    commit_interval_seconds: float
    revoke_budget_seconds: float
    latency_target_seconds: float = 0.1
    transaction_interval_seconds: float = 0.1
    transaction_timeout_seconds: float = 30.0
    outage_seconds: float = 120.0


@dataclass(slots=True, kw_only=True)
class Counts(OutcomeCounts):
    """What has become of the records so far. Outcomes count once they are confirmed.

    `consumed` counts a record as often as it was read: again where its transaction was undone.
    """

    consumed: int = 0


class Delivery(GroupListener, Protocol):
    """One guarantee at work. Every method raises the WorkerError that ends the worker."""

    counts: Counts

    @property
    def blocked(self) -> bool:
        """Whether the broker has to take or to say something before more may be sent: what bounds the memory."""

    def send(self, records: Sequence[Record], outcomes: Sequence[Outcome]) -> None:
        """Produce a batch's outcomes, in order, as far as the client's queue takes them now. Not while blocked."""

    def advance(self) -> None:
        """Produce what waits, confirm what has arrived, commit when it is time to. Waits a moment where blocked."""

    def finish(self) -> None:
        """Bring what is in flight to its end. Raises ShutdownBudgetError where that takes too long."""

    def leave(self) -> None:
        """Commit what is confirmed and close both clients, whatever one of them raises.

        Raises ShutdownBudgetError where the last commit is not confirmed, or the group not left, in time.
        """
