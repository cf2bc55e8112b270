"""Outcomes of replayed letters and the replay's progress, written as one transaction: all of it, or nothing.

What spoils a transaction undoes it, and it is written again from memory, for no group can take the letters away. Two
replays of one group share a transactional id, so the broker fences the one that was there first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from kuaixun.worker.delivery.attempt import TOO_LATE, doubtful, raise_spoilt
from kuaixun.worker.delivery.flights import Flight
from kuaixun.worker.delivery.outbox import Outbox
from kuaixun.worker.delivery.promise import DRAIN_SHARE
from kuaixun.worker.errors import BrokerUnreachableError, DeliveryFailedError, FencedError, WorkerError
from kuaixun.worker.kafka.letter_source import KafkaLetterSource
from kuaixun.worker.outcomes import Outcome
from kuaixun.worker.records import Partition
from kuaixun.worker.replay.restored import Restored
from kuaixun.worker.routing import Routes
from kuaixun.worker.stop import Stop, budget_error
from kuaixun.worker.streams import AbortableError, EndUnknownError, Mark, RefusedError, TransactionalSink

LOG = logging.getLogger(__name__)


class Rewriting:
    """Writes one batch of outcomes at a time. `monotonic` is a clock in seconds."""

    def __init__(
        self,
        source: KafkaLetterSource,
        sink: TransactionalSink,
        routes: Routes,
        *,
        outage_seconds: float,
        transaction_timeout_seconds: float,
        stop: Stop,
        worker_version: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source, self._sink, self._stop = source, sink, stop
        self._outage_seconds, self._transaction_timeout_seconds = outage_seconds, transaction_timeout_seconds
        self._worker_version, self._monotonic = worker_version, monotonic
        self._outbox = Outbox(sink, routes, stop, monotonic)
        self._committed: dict[Partition, Mark] = {}
        self._is_open = False

    def take_over(self, partitions: frozenset[Partition]) -> Mapping[Partition, Mark]:
        """End what another replay has open, and say how far replays have come. Before all else; raises WorkerErrors."""
        self._sink.renew(self._outage_seconds)
        self._committed = dict(self._source.marks(partitions))
        return self._committed

    def write(
        self, letters: Sequence[Restored], outcomes: Sequence[Outcome], marks: Mapping[Partition, Mark]
    ) -> list[Outcome]:
        """Commit outcomes and marks together; what was written, where the broker refused some, in their place.

        Blocks; raises WorkerErrors, and then nothing of it is committed.
        """
        changed = {partition: mark for partition, mark in marks.items() if mark != self._committed.get(partition)}
        if not letters and not changed:
            return []
        attempt = _Attempt(letters, list(outcomes), changed)
        failing_since = self._monotonic()
        while not self._is_written(attempt, failing_since + self._outage_seconds):
            if not self._stop.seconds_left(DRAIN_SHARE):
                raise budget_error(self._stop)
            if attempt.has_learnt:
                failing_since, attempt.has_learnt = self._monotonic(), False
            if self._monotonic() > failing_since + self._outage_seconds:
                raise DeliveryFailedError(
                    f"No transaction could be committed for {self._outage_seconds:g} s. Nothing of the last one "
                    "is visible or committed. Check the brokers, then replay again."
                )
        self._committed |= changed
        return attempt.outcomes

    def leave(self) -> None:
        """Undo what an error has left open, and close the producer."""
        try:
            if self._is_open:
                self._sink.abort(self._outbox.closing_seconds())
        except (AbortableError, EndUnknownError, WorkerError) as error:
            LOG.warning("the open transaction is left to its timeout: %s", error)
        finally:
            self._sink.close(self._outbox.closing_seconds())

    def _is_written(self, attempt: _Attempt, give_up_at: float) -> bool:
        """Try once: False where it was undone, and may be tried again with what `attempt` has learnt."""
        flight = Flight([letter.record for letter in attempt.letters], attempt.outcomes)
        try:
            try:
                self._sink.begin()
                self._is_open = True
                self._send(flight, attempt)
                offsets = {partition: mark.offset for partition, mark in attempt.marks.items()}
                notes = {partition: mark.note for partition, mark in attempt.marks.items()}
                self._sink.commit(offsets, self._source.member(), self._limit_seconds(), notes)
            except AbortableError as error:
                LOG.info("transaction undone, and written again: %s", error)
                self._sink.abort(self._limit_seconds())
                self._is_open = False
                attempt.doubt(doubtful(flight))
                return False
        except EndUnknownError as error:
            LOG.warning("the producer is made anew: %s", error)
            self._renew(give_up_at - self._monotonic())
            self._is_open = False
            return self._was_committed(attempt.marks)
        self._is_open = False
        return True

    def _renew(self, timeout_seconds: float) -> None:
        try:
            self._sink.renew(max(0.0, min(timeout_seconds, self._stop.seconds_left(DRAIN_SHARE))))
        except BrokerUnreachableError:
            if self._stop.requested:
                raise budget_error(self._stop) from None
            raise

    def _send(self, flight: Flight, attempt: _Attempt) -> None:
        for index, letter in enumerate(attempt.letters):
            if index not in attempt.apart:
                self._put(flight, index, letter, attempt.outcomes)
                continue
            self._flush(flight)
            self._put(flight, index, letter, attempt.outcomes)
            try:
                self._flush(flight)
            except AbortableError:
                # Alone on its way, so it is the one at fault.
                if refused := flight.refused.get(index):
                    instead = letter.instead(attempt.outcomes[index], refused, self._worker_version)
                    attempt.replace(index, instead)
                raise
            attempt.acquit(index)
        self._flush(flight)

    def _put(self, flight: Flight, index: int, letter: Restored, outcomes: list[Outcome]) -> None:
        while True:
            try:
                return self._outbox.put(letter.record, outcomes[index], flight.report_for(index))
            except RefusedError as refused:
                outcomes[index] = letter.instead(outcomes[index], refused, self._worker_version)

    def _flush(self, flight: Flight) -> None:
        """Wait for the reports on all that was sent. Raises AbortableError where one is bad, or late."""
        in_time = self._sink.flush(self._limit_seconds())
        raise_spoilt([flight])
        if not in_time:
            raise AbortableError(TOO_LATE)

    def _was_committed(self, marks: Mapping[Partition, Mark]) -> bool:
        """Whether a transaction with an unknown end was committed. Raises FencedError where another has taken over."""
        found = self._source.marks(marks)
        if all(found.get(partition) == mark for partition, mark in marks.items()):
            return True
        if all(found.get(partition) == self._committed.get(partition) for partition in marks):
            return False
        raise FencedError("Another replay of the same group has taken over. What this one had open is undone.")

    def _limit_seconds(self) -> float:
        return min(self._transaction_timeout_seconds, self._stop.seconds_left(DRAIN_SHARE))


class _Attempt:
    """What is to be written, from attempt to attempt. `apart` are the letters to send alone, to see who is at fault.

    Each is until it has passed, or what is written in its place has.
    """

    def __init__(self, letters: Sequence[Restored], outcomes: list[Outcome], marks: Mapping[Partition, Mark]) -> None:
        self.letters, self.outcomes, self.marks = letters, outcomes, marks
        self.apart: set[int] = set()
        self.has_learnt = False

    def doubt(self, indices: Iterable[int]) -> None:
        """These may have spoilt it."""
        found = set(indices) - self.apart
        self.has_learnt = self.has_learnt or bool(found)
        self.apart |= found

    def acquit(self, index: int) -> None:
        """This one has passed."""
        self.apart.discard(index)

    def replace(self, index: int, outcome: Outcome) -> None:
        """This one has not, and is to be written otherwise."""
        self.outcomes[index] = outcome
        self.has_learnt = True
