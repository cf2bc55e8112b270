"""The worker's loop: a headline's journey on one screen.

    1. consume   up to max_batch records, for up to max_delay
    2. decode    } `labelling.label_batch`: one outcome per record,
    3. classify  } in order
    4. produce   every outcome, without waiting for the last batch
    5. confirm   each batch, oldest first, once the broker has reported on every message of it
    6. commit    past what is confirmed, and past nothing else

At least once: a record is committed only after its outcome is on the broker, so a crash at any point repeats work and
loses none. One thread does all of it; the client's callbacks run inside `Source.batch` and `Sink.poll`.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

from kuaixun.schemas.dead_letter import DeadLetter, DeadLetterReason
from kuaixun.worker.errors import DeliveryFailedError, WorkerError
from kuaixun.worker.flights import Flight, Flights
from kuaixun.worker.labelling import (
    DeadLettered,
    Labelled,
    Labels,
    Outcome,
    Policy,
    Tombstone,
    dead_letter,
    label_batch,
)
from kuaixun.worker.routing import Routes, cut_in_half
from kuaixun.worker.stop import Stop, budget_error
from kuaixun.worker.streams import (
    Outgoing,
    Partition,
    QueueFullError,
    Record,
    RefusedError,
    Report,
    Sink,
    Source,
    TooLargeError,
)

LOG = logging.getLogger(__name__)

IDLE_SECONDS = 0.1  # how long a quiet topic may keep the loop from noticing a stop or a report
REPORT_SECONDS = 0.05
DRAIN_SHARE = 0.6  # of the shutdown budget goes to confirmations, the rest to commit and close

Observer: TypeAlias = Callable[[Sequence[Record], Sequence[Outcome]], None]
"""Called with each batch once it is confirmed: its records and, parallel to them, their final outcomes."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How much at once, and how often."""

    max_batch: int
    max_delay_seconds: float
    max_in_flight: int
    commit_interval_seconds: float
    revoke_budget_seconds: float


@dataclass(slots=True)
class Counts:
    """What has become of the records so far. Outcomes count once they are confirmed."""

    consumed: int = 0
    labelled: int = 0
    tombstones: int = 0
    dead_lettered: Counter[DeadLetterReason] = field(default_factory=Counter)

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Count a confirmed batch's outcomes."""
        for outcome in outcomes:
            if isinstance(outcome, Labelled):
                self.labelled += 1
            elif isinstance(outcome, DeadLettered):
                self.dead_lettered[outcome.letter.reason] += 1
            else:
                self.tombstones += 1


class Loop:
    """The loop over one source and one sink. It is its source's GroupListener."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        classifier: Labels,
        *,
        policy: Policy,
        routes: Routes,
        pace: Pace,
        stop: Stop,
        observer: Observer | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts = Counts()
        self._source, self._sink, self._classifier = source, sink, classifier
        self._policy, self._routes, self._pace, self._stop = policy, routes, pace, stop
        self._observer, self._clock, self._monotonic = observer, clock, monotonic
        self._flights = Flights()
        self._next_commit_at = monotonic() + pace.commit_interval_seconds

    def run(self) -> None:
        """Label until asked to stop. Raises the WorkerError that ended it; commits what is confirmed either way."""
        try:
            while not self._stop.requested:
                self._step()
            self._drain()
        finally:
            self._leave()

    def _step(self) -> None:
        """One turn."""
        # 1. consume
        records = self._source.batch(self._pace.max_batch, self._pace.max_delay_seconds, IDLE_SECONDS)
        received_at = self._clock()
        if records:
            self.counts.consumed += len(records)
            # 2. decode, 3. classify
            outcomes = label_batch(records, self._classifier, self._policy, received_at=received_at, clock=self._clock)
            # 4. produce
            self._produce(Flight(records, outcomes))
        # 5. confirm
        self._sink.poll(0.0)
        self._confirm()
        while len(self._flights) >= self._pace.max_in_flight and self._stop.seconds_left(DRAIN_SHARE):
            self._sink.poll(REPORT_SECONDS)
            self._confirm()
        # 6. commit
        if self._monotonic() >= self._next_commit_at:
            self._next_commit_at = self._monotonic() + self._pace.commit_interval_seconds
            self._commit()

    def _produce(self, flight: Flight) -> None:
        self._flights.depart(flight)
        for index, (record, outcome) in enumerate(zip(flight.records, flight.outcomes, strict=True)):
            try:
                self._send(self._routes.address(record, outcome), flight.report_for(index))
            except RefusedError as error:
                flight.report(index, error)

    def _send(self, message: Outgoing, report: Report, until: float = math.inf) -> None:
        """Queue a message; waits where the queue is full. Raises RefusedError and what `_wait` raises."""
        while True:
            try:
                self._sink.send(message, report)
            except QueueFullError:
                self._wait(until)
            else:
                return

    def _wait(self, until: float = math.inf) -> None:
        """Serve reports for a moment. Raises ShutdownBudgetError, or TimeoutError once the clock is at `until`."""
        if not self._stop.seconds_left(DRAIN_SHARE):
            raise budget_error(self._stop)
        if self._monotonic() >= until:
            raise TimeoutError
        self._sink.poll(REPORT_SECONDS)

    def _confirm(self, until: float = math.inf) -> None:
        """Settle the oldest flights that have landed. Raises where an outcome is lost; its flight is not committed.

        Raises TimeoutError where settling one takes longer than `until`; its flight stays aboard.
        """
        for flight in self._flights.landed():
            if flight.error is not None:
                raise flight.error
            while flight.refused:
                self._settle(flight, flight.refused[0], until)
                flight.refused.pop(0)
            self._flights.confirm(flight)
            self.counts.add(flight.outcomes)
            if self._observer is not None:
                self._observer(flight.records, flight.outcomes)

    def _settle(self, flight: Flight, index: int, until: float) -> None:
        """Write an outcome that was refused: alone, then as a dead letter, then with its value cut for its size.

        Alone first, because a broker refuses a whole batch of messages for one of them, and the client reports it on
        each. An outcome that gets through this way stands behind later ones of its partition.
        """
        record, outcome = flight.records[index], flight.outcomes[index]
        refused = self._refusal(record, outcome, until)
        if refused is None:
            return
        if not isinstance(outcome, DeadLettered):
            outcome = self._refused_letter(record, outcome, refused)
            refused = self._refusal(record, outcome, until)
        while refused is not None:
            outcome = DeadLettered(_cut(outcome.letter, refused))
            refused = self._refusal(record, outcome, until)
        flight.outcomes[index] = outcome

    def _refused_letter(self, record: Record, outcome: Labelled | Tombstone, refused: RefusedError) -> DeadLettered:
        """The dead letter that takes a refused outcome's place."""
        what = "the tombstone"
        if isinstance(outcome, Labelled):
            what = f"the labelled event of {len(outcome.value):,} bytes"
        if isinstance(refused, TooLargeError):
            reason = DeadLetterReason.OUTPUT_TOO_LARGE
            message = f"{what}, key and headers not counted, is too large for the topic"
        else:
            reason = DeadLetterReason.OUTPUT_REFUSED
            message = f"the topic does not take {what}: {refused}"
        return dead_letter(record, reason, message, self._policy.worker_version)

    def _refusal(self, record: Record, outcome: Outcome, until: float) -> RefusedError | None:
        """Send one outcome alone and wait for its report; None once it is written."""
        reports: list[Exception | None] = []
        try:
            self._send(self._routes.address(record, outcome), reports.append, until)
        except RefusedError as refused:
            return refused
        while not reports:
            self._wait(until)
        if reports[0] is not None and not isinstance(reports[0], RefusedError):
            raise reports[0]
        return reports[0]

    def _commit(self, *, last_chance: bool = False) -> None:
        if offsets := self._flights.uncommitted():
            self._source.commit(offsets, last_chance=last_chance)

    def _drain(self) -> None:
        """Wait for what is in flight. Raises ShutdownBudgetError where it does not land in time."""
        while len(self._flights):
            self._wait()
            self._confirm()

    def _leave(self) -> None:
        """Commit what is confirmed and close both clients, whatever one of them raises."""
        try:
            # The sink first: nothing may be written any more once another member owns the partitions.
            self._sink.close(self._closing_seconds())
        finally:
            self._commit(last_chance=True)
            if not self._source.close(self._closing_seconds()):
                LOG.warning("leaving the group took too long; its coordinator will notice by the session timeout")

    def _closing_seconds(self) -> float:
        """What closing may take: the rest of the budget, or a share of it where nobody set the clock running."""
        return min(self._stop.seconds_left(), (1 - DRAIN_SHARE) * self._stop.budget_seconds)

    # What follows is called from inside `Source.batch`.

    def positioned(self, offsets: Mapping[Partition, int]) -> None:
        """See GroupListener."""
        self._flights.positioned(offsets)

    def committed(self, offsets: Mapping[Partition, int]) -> None:
        """See GroupListener."""
        self._flights.committed(offsets)

    def revoked(self, partitions: frozenset[Partition]) -> None:
        """Confirm within the revoke budget, commit what is confirmed, let go. See GroupListener."""
        deadline = self._monotonic() + min(self._pace.revoke_budget_seconds, self._stop.seconds_left(DRAIN_SHARE))
        try:
            while self._flights.carries(partitions) and self._monotonic() < deadline:
                self._sink.poll(REPORT_SECONDS)
                self._confirm(deadline)
        except TimeoutError:
            LOG.warning("%s revoked while an outcome was being written again: it may come twice", _names(partitions))
        except WorkerError:
            LOG.warning("%s revoked while an outcome could not be written", _names(partitions))
            raise
        finally:
            self._commit(last_chance=True)
            self._flights.forget(partitions)

    def lost(self, partitions: frozenset[Partition]) -> None:
        """Commit nothing. See GroupListener."""
        LOG.warning("%s lost to another member: what was in flight may be labelled twice", _names(partitions))
        self._flights.forget(partitions)


def _cut(letter: DeadLetter, refused: RefusedError) -> DeadLetter:
    """A refused dead letter made smaller. Raises DeliveryFailedError where that is of no use."""
    where = f"The dead letter of {letter.topic}[{letter.partition}]@{letter.offset}"
    if not isinstance(refused, TooLargeError):
        raise DeliveryFailedError(
            f"{where} is refused by the dead-letter topic: {refused}. Nothing is committed past it. Give that topic "
            "cleanup.policy=delete and limits for timestamps as wide as the input topic's, and restart."
        )
    if not letter.value:
        raise DeliveryFailedError(
            f"{where} is too large even without its value, for its key and headers alone. Nothing is committed past "
            "it. Raise max.message.bytes of the dead-letter topic and message.max.bytes in KUAIXUN_PRODUCER, and "
            "restart."
        )
    return cut_in_half(letter)


def _names(partitions: frozenset[Partition]) -> str:
    return ", ".join(map(str, sorted(partitions)))
