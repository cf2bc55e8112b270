"""Exactly once: outcomes and the offsets of their records are one transaction, which all become visible or none.

    4. produce   every outcome, dead letters too, into the open transaction
    5. confirm   all of it, when its interval is over or a partition leaves
    6. commit    outcomes and offsets together, in the name of this member of the group

What spoils a transaction undoes it: its records are read again from where it began. A record that the broker refuses
spoils it too, so the next attempt writes that record apart from the others, and then what stands in its place.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence

from kuaixun.worker.delivery.flights import Flight
from kuaixun.worker.delivery.outbox import Outbox
from kuaixun.worker.delivery.promise import DRAIN_SHARE, REPORT_SECONDS, Counts, Observer, Pace
from kuaixun.worker.delivery.refusals import instead
from kuaixun.worker.delivery.transaction import Place, Transaction, place_of
from kuaixun.worker.errors import DeliveryFailedError, WorkerError
from kuaixun.worker.labelling import Outcome
from kuaixun.worker.routing import Routes
from kuaixun.worker.stop import Stop, budget_error
from kuaixun.worker.streams import (
    AbortableError,
    EndUnknownError,
    Partition,
    QueueFullError,
    Record,
    RefusedError,
    Source,
    TransactionalSink,
    named,
)

LOG = logging.getLogger(__name__)

# Of the time that the brokers keep a transaction open: what waits for room for longer cannot be committed in the rest.
BOARDING_SHARE = 0.5
NO_ROOM = "the producer's queue had no room for all outcomes in time"


class ExactlyOnce:
    """See promise.Delivery."""

    def __init__(
        self,
        source: Source,
        sink: TransactionalSink,
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
        self._transaction: Transaction | None = None
        self._positions: dict[Partition, int] = {}
        # Records that spoilt a transaction, with what is to be written in their outcome's place, if that is known.
        self._apart: dict[Place, Outcome | None] = {}
        self._failing_since: float | None = None

    @property
    def blocked(self) -> bool:
        """See promise.Delivery."""
        open_one = self._transaction
        if open_one is None:
            return False
        return open_one.boarding is not None or open_one.in_flight() >= self._pace.max_in_flight

    def send(self, records: Sequence[Record], outcomes: Sequence[Outcome]) -> None:
        """See promise.Delivery."""
        self._attempt(lambda: self._write(Flight(records, outcomes)))

    def advance(self) -> None:
        """See promise.Delivery."""
        self._attempt(self._advance)

    def finish(self) -> None:
        """See promise.Delivery."""
        self._attempt(self._commit)

    def leave(self) -> None:
        """See promise.Delivery. What is still open is undone."""
        try:
            if self._transaction is not None:
                self._sink.abort(self._outbox.closing_seconds())
        except (AbortableError, EndUnknownError, WorkerError) as error:
            LOG.warning("the open transaction is left to its timeout: %s", error)
        finally:
            self._sink.close(self._outbox.closing_seconds())
            if not self._source.close(self._outbox.closing_seconds()):
                LOG.warning("leaving the group took too long; its coordinator will notice by the session timeout")

    def _advance(self) -> None:
        self._sink.poll(REPORT_SECONDS if self.blocked else 0.0)
        transaction = self._transaction
        if self._positions:
            transaction = self._transaction = transaction or self._begin()
            transaction.offsets |= self._positions
            self._positions = {}
        if transaction is None:
            return
        self._check(transaction)
        self._board(transaction)
        open_seconds = self._monotonic() - transaction.began_at
        if transaction.boarding is None:
            if open_seconds >= self._pace.transaction_interval_seconds:
                self._commit()
        elif open_seconds >= BOARDING_SHARE * self._pace.transaction_timeout_seconds:
            raise AbortableError(NO_ROOM)

    def _begin(self) -> Transaction:
        self._sink.begin()
        return Transaction(self._monotonic())

    def _write(self, flight: Flight) -> None:
        transaction = self._transaction
        if transaction is None:
            # Noted first: whatever goes wrong from here on, these records are read again.
            transaction = self._transaction = Transaction(self._monotonic())
            transaction.add(flight)
            self._sink.begin()
        else:
            transaction.add(flight)
        self._board(transaction)

    def _board(self, transaction: Transaction) -> None:
        """Queue what waits, as far as there is room."""
        flight = transaction.boarding
        while flight is not None and flight.boarding:
            if not self._apart:
                self._outbox.offer_all(flight)
                if not flight.boarding:
                    return
            place = place_of(flight.records[flight.queued]) if self._apart else None
            if place is None or place not in self._apart:
                if not self._offer(flight):
                    return
                continue
            flight.outcomes[flight.queued] = self._apart[place] or flight.outcomes[flight.queued]
            self._flush(transaction)
            if not self._offer(flight):
                return
            self._flush(transaction, apart=place)

    def _offer(self, flight: Flight) -> bool:
        """Queue the next outcome; False where there is no room.

        The client's own refusal spoils nothing, so what stands in its place follows at once.
        """
        index, record = flight.queued, flight.records[flight.queued]
        while True:
            try:
                self._outbox.offer(record, flight.outcomes[index], flight.report_for(index))
            except QueueFullError:
                return False
            except RefusedError as refused:
                flight.outcomes[index] = instead(record, flight.outcomes[index], refused, self._worker_version)
            else:
                flight.queued += 1
                return True

    def _flush(self, transaction: Transaction, limit_seconds: float = math.inf, apart: Place | None = None) -> None:
        """Wait for all reports. Raises AbortableError where one is bad, or does not come in time."""
        in_time = self._sink.flush(min(limit_seconds, self._limit_seconds()))
        self._check(transaction, apart)
        if not in_time:
            raise AbortableError("not all outcomes were confirmed in time")

    def _check(self, transaction: Transaction, apart: Place | None = None) -> None:
        """Raise what the reports so far amount to.

        A broker refuses a whole batch of messages for one of them, and the client reports it on each: only what is
        refused `apart` is known to be at fault itself.
        """
        refused = None
        for flight in transaction.flights:
            if flight.error is not None and not isinstance(flight.error, DeliveryFailedError):
                raise flight.error
            if flight.error is not None:
                raise AbortableError(str(flight.error))
            for index, refused in flight.refused.items():
                record = flight.records[index]
                if place_of(record) == apart:
                    self._apart[apart] = instead(record, flight.outcomes[index], refused, self._worker_version)
        if refused is not None:
            raise AbortableError(f"an outcome was refused: {refused}")

    def _commit(self, limit_seconds: float = math.inf) -> None:
        """End the open transaction, if there is one. Raises AbortableError and EndUnknownError."""
        transaction = self._transaction
        if transaction is None:
            return
        boarding_ends_at = self._monotonic() + min(limit_seconds, self._limit_seconds())
        while transaction.boarding is not None:
            if self._monotonic() >= boarding_ends_at:
                raise AbortableError(NO_ROOM)
            self._sink.poll(REPORT_SECONDS)
            self._check(transaction)
            self._board(transaction)
        self._flush(transaction, limit_seconds)
        limit_seconds = min(limit_seconds, self._limit_seconds())
        self._sink.commit(transaction.offsets, self._source.member(), limit_seconds)
        self._conclude(transaction)

    def _conclude(self, transaction: Transaction) -> None:
        self._transaction, self._failing_since = None, None
        self._apart.clear()
        for flight in transaction.flights:
            self.counts.add(flight.outcomes)
            if self._observer is not None:
                self._observer(flight.records, flight.outcomes)

    def _limit_seconds(self) -> float:
        """For one call: the broker ends a transaction by itself after that long."""
        return min(self._pace.transaction_timeout_seconds, self._stop.seconds_left(DRAIN_SHARE))

    def _attempt(self, step: Callable[[], None]) -> None:
        """Take a step; where it spoils the transaction, undo that and read its records again."""
        try:
            try:
                step()
            except AbortableError as error:
                self._abort(error)
        except EndUnknownError as error:
            self._renew(error)

    def _abort(self, why: Exception) -> None:
        transaction = self._transaction
        if transaction is None:
            return
        self._note_failure(why)
        LOG.info("transaction undone, its records are read again: %s", why)
        self._sink.abort(self._limit_seconds())
        # Not before: by now the client has reported on everything.
        for flight in transaction.flights:
            for index in flight.refused:
                self._apart.setdefault(place_of(flight.records[index]), None)
        self._transaction = None
        self._source.rewind(transaction.starts)

    def _renew(self, why: Exception) -> None:
        """Nobody knows how the transaction ended: a new producer makes sure that it has, and the offsets tell how."""
        if self._stop.requested:
            raise budget_error(self._stop)
        self._note_failure(why)
        LOG.warning("the producer is made anew: %s", why)
        self._sink.renew(self._pace.outage_seconds)
        transaction, self._transaction = self._transaction, None
        if transaction is None:
            return
        committed = self._source.committed(frozenset(transaction.offsets))
        if all(committed.get(partition) == offset for partition, offset in transaction.offsets.items()):
            self._conclude(transaction)
        else:
            self._source.rewind({**transaction.starts, **committed})

    def _note_failure(self, why: Exception) -> None:
        """Raise DeliveryFailedError where transactions have failed for longer than an outage may last."""
        now = self._monotonic()
        if self._failing_since is None:
            self._failing_since = now
        if now - self._failing_since > self._pace.outage_seconds:
            raise DeliveryFailedError(
                f"No transaction could be committed for {self._pace.outage_seconds:g} s. The last one: {why} Nothing "
                "of it is visible or committed. Check the brokers, then restart."
            )

    # What follows is called from inside `Source.batch`.

    def positioned(self, offsets: Mapping[Partition, int]) -> None:
        """See GroupListener."""
        self._positions |= offsets

    def committed(self, offsets: Mapping[Partition, int]) -> None:
        """See GroupListener. Transactions commit; the consumer does not."""

    def revoked(self, partitions: frozenset[Partition]) -> None:
        """Commit within the revoke budget, or undo, and let go. See GroupListener."""
        if self._transaction is not None and self._transaction.carries(partitions):
            self._attempt(lambda: self._commit(self._pace.revoke_budget_seconds))
        self._forget(partitions)

    def lost(self, partitions: frozenset[Partition]) -> None:
        """Undo what touches them: its offsets would be refused. See GroupListener."""
        LOG.warning("%s lost to another member", named(partitions))
        if self._transaction is not None and self._transaction.carries(partitions):
            self._attempt(lambda: self._abort(AbortableError(f"{named(partitions)} lost")))
        self._forget(partitions)

    def _forget(self, partitions: frozenset[Partition]) -> None:
        self._positions = {p: offset for p, offset in self._positions.items() if p not in partitions}
        self._apart = {place: outcome for place, outcome in self._apart.items() if place[0] not in partitions}
