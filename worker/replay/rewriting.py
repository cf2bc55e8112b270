"""Outcomes of replayed letters and the replay's progress, written as one transaction: all of it, or nothing.

What spoils a transaction undoes it, and it is written again from memory, for no group can take the letters away. Two
replays of one group share a transactional id, so the broker fences the one that was there first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from kuaixun.worker.delivery.flights import Flight
from kuaixun.worker.delivery.outbox import Outbox
from kuaixun.worker.delivery.promise import DRAIN_SHARE
from kuaixun.worker.errors import DeliveryFailedError, FencedError, WorkerError
from kuaixun.worker.kafka import KafkaLetterSource
from kuaixun.worker.labelling import Outcome
from kuaixun.worker.replay.restored import Restored
from kuaixun.worker.routing import Routes
from kuaixun.worker.stop import Stop, budget_error
from kuaixun.worker.streams import (
    AbortableError,
    EndUnknownError,
    Mark,
    Partition,
    RefusedError,
    TransactionalSink,
)

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
        apart: set[int] = set()
        give_up_at = self._monotonic() + self._outage_seconds
        written = list(outcomes)
        while not self._is_written(letters, written, changed, apart):
            if not self._stop.seconds_left(DRAIN_SHARE):
                raise budget_error(self._stop)
            if self._monotonic() > give_up_at:
                raise DeliveryFailedError(
                    f"No transaction could be committed for {self._outage_seconds:g} s. Nothing of the last one "
                    "is visible or committed. Check the brokers, then replay again."
                )
        self._committed |= changed
        return written

    def leave(self) -> None:
        """Undo what an error has left open, and close the producer."""
        try:
            if self._is_open:
                self._sink.abort(self._outbox.closing_seconds())
        except (AbortableError, EndUnknownError, WorkerError) as error:
            LOG.warning("the open transaction is left to its timeout: %s", error)
        finally:
            self._sink.close(self._outbox.closing_seconds())

    def _is_written(
        self, letters: Sequence[Restored], outcomes: list[Outcome], marks: Mapping[Partition, Mark], apart: set[int]
    ) -> bool:
        """One attempt: False where it was undone, and may be made again. Notes in `apart` which letters to send alone,
        and in `outcomes` what stands in the place of a refused one."""
        flight = Flight([letter.record for letter in letters], outcomes)
        try:
            try:
                self._sink.begin()
                self._is_open = True
                self._send(flight, letters, outcomes, apart)
                offsets = {partition: mark.offset for partition, mark in marks.items()}
                notes = {partition: mark.note for partition, mark in marks.items()}
                self._sink.commit(offsets, self._source.member(), self._limit_seconds(), notes)
            except AbortableError as error:
                LOG.info("transaction undone, and written again: %s", error)
                self._sink.abort(self._limit_seconds())
                self._is_open = False
                apart.update(flight.refused)
                return False
        except EndUnknownError as error:
            LOG.warning("the producer is made anew: %s", error)
            self._sink.renew(self._outage_seconds)
            self._is_open = False
            return self._was_committed(marks)
        self._is_open = False
        return True

    def _send(self, flight: Flight, letters: Sequence[Restored], outcomes: list[Outcome], apart: set[int]) -> None:
        for index, letter in enumerate(letters):
            if index in apart:
                self._flush(flight)
            self._put(flight, index, letter, outcomes)
            if index in apart:
                try:
                    self._flush(flight)
                except AbortableError:
                    # Alone on its way, so it is the one at fault.
                    if refused := flight.refused.get(index):
                        outcomes[index] = letter.instead(outcomes[index], refused, self._worker_version)
                    raise
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
        if flight.error is not None and not isinstance(flight.error, DeliveryFailedError):
            raise flight.error
        if flight.error is not None or flight.refused:
            raise AbortableError(str(flight.error or next(iter(flight.refused.values()))))
        if not in_time:
            raise AbortableError("not all outcomes were confirmed in time")

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
