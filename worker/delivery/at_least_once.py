"""At least once: every outcome is on the broker before its record is committed, so that a crash repeats work at most.

4. produce   every outcome, without waiting for the last batch, as far as the producer's queue takes it
5. confirm   each batch, oldest first, once the broker has reported on every message of it
6. commit    past what is confirmed, and past nothing else
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence

from kuaixun.worker.delivery.flights import Flight, Flights
from kuaixun.worker.delivery.outbox import Outbox
from kuaixun.worker.delivery.promise import DRAIN_SHARE, REPORT_SECONDS, Counts, Observer, Pace
from kuaixun.worker.delivery.refusals import instead
from kuaixun.worker.errors import WorkerError
from kuaixun.worker.outcomes import Outcome
from kuaixun.worker.records import Partition, Record, named
from kuaixun.worker.routing import Routes
from kuaixun.worker.stop import Stop, unfinished_error
from kuaixun.worker.streams import QueueFullError, RefusedError, Sink, Source

LOG = logging.getLogger(__name__)

# Light load makes many small batches, whose confirmations take as long to come as those of full ones. Each takes some
# kilobytes beside its records, so that in an outage there is an end to them too.
MOST_FLIGHTS = 1024
SETTLE_SECONDS = 1.0  # after so long with refused outcomes the loop turns, and goes on with them then


class AtLeastOnce:
    """See promise.Delivery."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        *,
        routes: Routes,
        pace: Pace,
        stop: Stop,
        worker_version: str,
        observer: Observer | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts = Counts()
        self._source, self._sink, self._pace, self._stop = source, sink, pace, stop
        self._worker_version, self._observer, self._monotonic = worker_version, observer, monotonic
        self._outbox = Outbox(sink, routes, stop, monotonic)
        self._flights = Flights()
        self._next_commit_at = monotonic() + pace.commit_interval_seconds

    @property
    def blocked(self) -> bool:
        """See promise.Delivery."""
        is_full = self._flights.records >= self._pace.max_in_flight or len(self._flights) >= MOST_FLIGHTS
        return is_full or self._flights.boarding is not None

    def send(self, records: Sequence[Record], outcomes: Sequence[Outcome]) -> None:
        """See promise.Delivery."""
        self._flights.depart(Flight(records, outcomes))
        self._board()

    def advance(self) -> None:
        """See promise.Delivery."""
        self._sink.poll(REPORT_SECONDS if self.blocked else 0.0)
        self._board()
        self._confirm()
        if self._monotonic() >= self._next_commit_at:
            self._next_commit_at = self._monotonic() + self._pace.commit_interval_seconds
            self._commit()

    def finish(self) -> None:
        """See promise.Delivery."""
        while len(self._flights):
            self._outbox.wait()
            self._board()
            self._confirm()

    def leave(self) -> None:
        """See promise.Delivery."""
        try:
            # The sink first: nothing may be written any more once another member owns the partitions.
            self._sink.close(self._outbox.closing_seconds())
        finally:
            self._commit(last_chance=True)
            is_left = self._source.close(self._outbox.closing_seconds())
        if not is_left:
            raise unfinished_error()

    def _board(self) -> None:
        """Queue what waits, as far as there is room."""
        flight = self._flights.boarding
        while flight is not None and flight.boarding:
            self._outbox.offer_all(flight)
            if not flight.boarding:
                return
            index = flight.queued
            try:
                self._outbox.offer(flight.records[index], flight.outcomes[index], flight.report_for(index))
            except QueueFullError:
                return
            except RefusedError as error:
                flight.report(index, error)
            flight.queued += 1

    def _confirm(self, until: float = math.inf) -> None:
        """Settle the oldest flights that have landed. Raises where an outcome is lost; its flight is not committed.

        Raises TimeoutError where settling one takes longer than `until`; its flight stays aboard.
        """
        turn_ends_at = self._monotonic() + SETTLE_SECONDS
        for flight in self._flights.landed():
            if flight.error is not None:
                raise flight.error
            while flight.refused:
                index = next(iter(flight.refused))
                self._settle(flight, index, until)
                del flight.refused[index]
                if flight.refused and self._monotonic() >= turn_ends_at:
                    return
            self._flights.confirm(flight)
            self.counts.add(flight.outcomes)
            if self._observer is not None:
                self._observer(flight.records, flight.outcomes)

    def _settle(self, flight: Flight, index: int, until: float) -> None:
        """Write an outcome that was refused: alone, then what `instead` puts in its place.

        Alone first, because a broker refuses a whole batch of messages for one of them, and the client reports it on
        each. An outcome that gets through this way stands behind later ones of its partition.
        """
        record, outcome = flight.records[index], flight.outcomes[index]
        while (refused := self._refusal(record, outcome, until)) is not None:
            outcome = instead(record, outcome, refused, self._worker_version)
        flight.outcomes[index] = outcome

    def _refusal(self, record: Record, outcome: Outcome, until: float) -> RefusedError | None:
        """Send one outcome alone and wait for its report; None once it is written."""
        reports: list[Exception | None] = []
        try:
            self._outbox.put(record, outcome, reports.append, until)
        except RefusedError as refused:
            return refused
        while not reports:
            self._outbox.wait(until)
        if reports[0] is not None and not isinstance(reports[0], RefusedError):
            raise reports[0]
        return reports[0]

    def _commit(self, *, last_chance: bool = False) -> None:
        if offsets := self._flights.uncommitted():
            self._source.commit(offsets, last_chance=last_chance)

    # What follows is called from inside `Source.batch`.

    def positioned(self, offsets: Mapping[Partition, int]) -> None:
        """See GroupListener."""
        self._flights.positioned(offsets)

    def committed(self, offsets: Mapping[Partition, int]) -> None:
        """See GroupListener."""
        self._flights.committed(offsets)

    def revoked(self, partitions: frozenset[Partition]) -> None:
        """Confirm within the revoke budget, commit what is confirmed, let go. See GroupListener."""
        deadline = self._monotonic() + self._pace.revoke_budget_seconds
        try:
            while self._flights.carries(partitions) and self._monotonic() < deadline:
                if not self._stop.seconds_left(DRAIN_SHARE):
                    break
                self._sink.poll(REPORT_SECONDS)
                self._board()
                self._confirm(deadline)
        except TimeoutError:
            LOG.warning("%s revoked while an outcome was being written again: it may come twice", named(partitions))
        except WorkerError:
            LOG.warning("%s revoked while an outcome could not be written", named(partitions))
            raise
        finally:
            self._commit(last_chance=True)
            self._flights.leave_behind(partitions)

    def lost(self, partitions: frozenset[Partition]) -> None:
        """Commit nothing. See GroupListener."""
        LOG.warning("%s lost to another member: what was in flight may be labelled twice", named(partitions))
        self._flights.leave_behind(partitions)
