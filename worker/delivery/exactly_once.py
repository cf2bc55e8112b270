"""Exactly once: outcomes and the offsets of their records are one transaction, which all become visible or none.

    4. produce   every outcome, dead letters too, into the open transaction
    5. confirm   } all of it, when its interval is over or a partition leaves; outcomes and offsets together, in the
    6. commit    } name of this member of the group. The brokers' word is awaited in a thread, while the loop reads on

What spoils a transaction undoes it: its records are read again from where it began. A record that the broker refuses
spoils it too, so the next attempt writes that record in a transaction of its own, and then what stands in its place.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress

from kuaixun.worker.delivery.attempt import TOO_LATE, doubtful, raise_lost, raise_spoilt
from kuaixun.worker.delivery.flights import Flight
from kuaixun.worker.delivery.outbox import Outbox
from kuaixun.worker.delivery.patience import Patience
from kuaixun.worker.delivery.promise import DRAIN_SHARE, REPORT_SECONDS, Counts, Observer, Pace
from kuaixun.worker.delivery.refusals import instead
from kuaixun.worker.delivery.transaction import Place, Transaction, firsts, place_of
from kuaixun.worker.errors import BrokerUnreachableError, DeliveryFailedError, WorkerError
from kuaixun.worker.outcomes import Outcome
from kuaixun.worker.records import Partition, Record, named
from kuaixun.worker.routing import Routes
from kuaixun.worker.stop import Stop, budget_error, unfinished_error
from kuaixun.worker.streams import (
    AbortableError,
    EndUnknownError,
    QueueFullError,
    RefusedError,
    Source,
    TransactionalSink,
)

LOG = logging.getLogger(__name__)

# Of the time that the brokers keep a transaction open: what waits for room for longer cannot be committed in the rest.
BOARDING_SHARE = 0.5
NO_ROOM = "the producer's queue had no room for all outcomes in time"
SETTLE_SECONDS = 1.0  # after so long with records written apart the loop turns, and goes on with them then
SLICE_SECONDS = 1.0  # so that a stop is noticed while reports are waited for


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
        self._ending: Future[None] | None = None  # of the open transaction, which nobody else touches until it is done
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="transaction-end")
        self._positions: dict[Partition, int] = {}
        # Records that may have spoilt a transaction: each is written in one of its own.
        self._apart: set[Place] = set()
        self._patience = Patience(pace.outage_seconds, monotonic)

    @property
    def blocked(self) -> bool:
        """See promise.Delivery."""
        open_one = self._transaction
        if open_one is None:
            return False
        is_busy = self._ending is not None or open_one.boarding is not None
        return is_busy or self._sink.waiting >= self._pace.max_in_flight

    def send(self, records: Sequence[Record], outcomes: Sequence[Outcome]) -> None:
        """See promise.Delivery."""
        self._attempt(lambda: self._write(Flight(records, outcomes)))

    def advance(self) -> None:
        """See promise.Delivery."""
        self._attempt(self._advance)

    def finish(self) -> None:
        """See promise.Delivery."""
        self._attempt(self._settle)
        self._attempt(self._commit)

    def leave(self) -> None:
        """See promise.Delivery. What is still open is undone."""
        try:
            with suppress(AbortableError):
                self._settle(self._monotonic() + self._outbox.closing_seconds())
            if self._transaction is not None:
                self._sink.abort(self._outbox.closing_seconds())
        except (AbortableError, EndUnknownError, WorkerError) as error:
            LOG.warning("the open transaction is left to its timeout: %s", error)
        finally:
            self._thread.shutdown(wait=False)
            self._sink.close(self._outbox.closing_seconds())
            is_left = self._source.close(self._outbox.closing_seconds())
        if not is_left:
            raise unfinished_error()

    def _advance(self) -> None:
        if self._ending is not None:
            wait([self._ending], REPORT_SECONDS)
            if self._ending.done():
                self._settle()
            return
        self._sink.poll(REPORT_SECONDS if self.blocked else 0.0)
        if self._positions:
            self._open()
        transaction = self._transaction
        if transaction is None:
            return
        raise_spoilt(transaction.flights)
        self._board()
        transaction = self._transaction
        if transaction is None:
            return
        open_seconds = self._monotonic() - transaction.began_at
        if transaction.boarding is None:
            if open_seconds >= self._pace.transaction_interval_seconds:
                self._ending = self._thread.submit(self._end, transaction, self._source.member())
        elif open_seconds >= BOARDING_SHARE * self._pace.transaction_timeout_seconds:
            raise AbortableError(NO_ROOM)

    def _open(self, flight: Flight | None = None) -> None:
        """Have a transaction open, with this batch and all positions in it."""
        is_new = self._transaction is None
        transaction = self._transaction = self._transaction or Transaction(self._monotonic())
        # Noted first: whatever goes wrong from here on, these records are read again.
        transaction.position(self._positions)
        self._positions = {}
        if flight is not None:
            transaction.add(flight)
        if is_new:
            self._sink.begin()

    def _write(self, flight: Flight) -> None:
        self._open(flight)
        self._board()

    def _board(self, until: float = math.inf) -> None:
        """Queue what waits, as far as there is room."""
        flight = self._transaction.boarding if self._transaction is not None else None
        turn_ends_at = math.inf
        while flight is not None and flight.boarding:
            if not self._apart:
                self._outbox.offer_all(flight)
                if not flight.boarding:
                    return
            if self._apart and place_of(flight.records[flight.queued]) in self._apart:
                if self._monotonic() >= turn_ends_at:
                    return
                turn_ends_at = min(turn_ends_at, self._monotonic() + SETTLE_SECONDS)
                flight = self._write_apart(flight, until)
            elif not self._offer(flight):
                return

    def _write_apart(self, boarding: Flight, until: float) -> Flight | None:
        """Write the next outcome in a transaction of its own, so that to undo it costs no other's.

        What stands before it is committed first. Where it is refused again it is at fault itself, for it is alone, and
        what `instead` says is written in its place. Returns what waits behind it, None for nothing.
        """
        transaction = self._transaction
        assert transaction is not None  # noqa: S101 - what boards does so in one
        record = boarding.records[boarding.queued]
        rest = transaction.part()
        is_open = not transaction.offsets
        if not is_open:
            self._end_now(transaction, until)
        behind = rest.split(1)
        while True:
            transaction = self._transaction = Transaction(self._monotonic())
            transaction.add(rest)
            transaction.keep_for_later(behind)
            if not is_open:
                self._sink.begin()
            if not self._offer(rest):
                raise AbortableError(NO_ROOM)
            self._flush(transaction, until)
            if not rest.refused:
                break
            self._sink.abort(self._limit_seconds(until=until))
            is_open = False
            outcome = instead(record, rest.outcomes[0], rest.refused[0], self._worker_version)
            LOG.info("%s@%d is refused, and a dead letter takes its place", place_of(record)[0], record.offset)
            rest = Flight([record], [outcome])
        self._end_now(transaction, until)
        if not behind.records:
            return None
        self._open(behind)
        return behind

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

    def _flush(self, transaction: Transaction, until: float) -> None:
        """Wait for all reports. Raises AbortableError where one does not come in time, or the transaction is spoilt."""
        while not self._sink.flush(min(SLICE_SECONDS, self._limit_seconds(transaction, until))):
            raise_lost(transaction.flights)
            if not self._limit_seconds(transaction, until):
                raise AbortableError(TOO_LATE)
        raise_lost(transaction.flights)

    def _commit(self, until: float = math.inf) -> None:
        """End the open transaction, if there is one. Raises AbortableError and EndUnknownError."""
        while self._transaction is not None and self._transaction.boarding is not None:
            if not self._limit_seconds(self._transaction, until):
                raise AbortableError(NO_ROOM)
            self._sink.poll(REPORT_SECONDS)
            raise_spoilt(self._transaction.flights)
            self._board(until)
        if self._transaction is not None:
            self._end_now(self._transaction, until)

    def _end_now(self, transaction: Transaction, until: float = math.inf) -> None:
        self._end(transaction, self._source.member(), until)
        self._conclude(transaction)

    def _settle(self, until: float = math.inf) -> None:
        """Wait for the end that is under way, if one is. Raises what it met, EndUnknownError where it takes longer."""
        if self._ending is None or self._transaction is None:
            return
        if until < math.inf:
            wait([self._ending], max(0.0, until - self._monotonic()))
            if not self._ending.done():
                raise EndUnknownError("the brokers have not said yet how it ended")
        ending, self._ending = self._ending, None
        ending.result()
        self._conclude(self._transaction)

    def _end(self, transaction: Transaction, member: bytes, until: float = math.inf) -> None:
        """Bring it to its end, with what it carries unchanged. For any thread."""
        # Before offsets join, though they could meanwhile: a call for that which meets an outage does not outlive it.
        self._flush(transaction, until)
        raise_spoilt(transaction.flights)
        limit_seconds = self._limit_seconds(transaction, until)
        if not limit_seconds:
            raise AbortableError(TOO_LATE)
        self._sink.commit(transaction.offsets, member, limit_seconds)

    def _conclude(self, transaction: Transaction) -> None:
        self._transaction = None
        self._patience.renew()
        if self._apart:
            self._apart = {place for place in self._apart if place[1] >= transaction.offsets.get(place[0], 0)}
        for flight in transaction.flights:
            self.counts.add(flight.outcomes)
            if self._observer is not None:
                self._observer(flight.records, flight.outcomes)

    def _limit_seconds(self, transaction: Transaction | None = None, until: float = math.inf) -> float:
        """For all that is left to do with a transaction, which the brokers end by themselves; or to undo it."""
        now, timeout_seconds = self._monotonic(), self._pace.transaction_timeout_seconds
        left_seconds = transaction.began_at + timeout_seconds - now if transaction is not None else timeout_seconds
        return max(0.0, min(left_seconds, until - now, self._stop.seconds_left(DRAIN_SHARE)))

    def _attempt(self, step: Callable[[], None]) -> None:
        """Take a step; where it spoils the transaction, undo that and read its records again."""
        try:
            try:
                step()
            except AbortableError as error:
                self._abort(error)
        except EndUnknownError as error:
            self._renew(error)

    def _abort(self, why: Exception, until: float = math.inf) -> None:
        transaction = self._transaction
        if transaction is None:
            return
        self._patience.note(why, transaction.began_at)
        LOG.info("transaction undone, its records are read again: %s", why)
        self._sink.abort(min(self._limit_seconds(until=until), self._outage_seconds_left()))
        # Not before: by now the client has reported on everything.
        apart = {place_of(flight.records[i]) for flight in transaction.flights for i in doubtful(flight)}
        if apart - self._apart:
            self._patience.renew()  # the next attempt is another one
        self._apart |= apart
        self._transaction = None
        self._positions = transaction.positions | self._positions
        self._source.rewind(transaction.starts)

    def _renew(self, why: Exception) -> None:
        """Nobody knows how the transaction ended: a new producer makes sure that it has, and the offsets tell how."""
        transaction = self._transaction
        self._patience.note(why, transaction.began_at if transaction is not None else None)
        LOG.warning("the producer is made anew: %s", why)
        try:
            self._sink.renew(self._outage_seconds_left())
        except BrokerUnreachableError:
            if self._stop.requested:
                raise budget_error(self._stop) from None
            raise
        self._transaction = None
        if transaction is None:
            return
        committed = self._source.committed(frozenset(transaction.offsets), self._outage_seconds_left())
        if all(committed.get(partition) == offset for partition, offset in transaction.offsets.items()):
            self._conclude(transaction)
            if transaction.rest is not None:
                self._source.rewind(firsts(transaction.rest))
            return
        self._positions = transaction.positions | self._positions
        # What was committed before a position was chosen is gone from the topic.
        read_again = {p: offset for p, offset in committed.items() if p not in transaction.positions}
        self._source.rewind(transaction.starts | read_again)

    def _outage_seconds_left(self) -> float:
        """Of the time that transactions may fail, and of what a shutdown leaves for it."""
        return min(self._patience.seconds_left(), self._stop.seconds_left(DRAIN_SHARE))

    # What follows is called from inside `Source.batch`.

    def positioned(self, offsets: Mapping[Partition, int]) -> None:
        """See GroupListener."""
        self._attempt(self._settle)
        if self._transaction is not None:
            self._transaction.position(offsets)
        else:
            self._positions |= offsets

    def committed(self, offsets: Mapping[Partition, int]) -> None:
        """See GroupListener. Transactions commit; the consumer does not."""

    def revoked(self, partitions: frozenset[Partition]) -> None:
        """Commit within the revoke budget, or undo, and let go. See GroupListener.

        Raises DeliveryFailedError where nobody says in time how the transaction ended: to wait for that would keep the
        whole group waiting, and whoever starts anew finds out.
        """
        began_at, budget_seconds = self._monotonic(), self._pace.revoke_budget_seconds
        try:
            try:
                self._settle(began_at + DRAIN_SHARE * budget_seconds)
                if not partitions.isdisjoint(self._positions):
                    self._open()
                if self._transaction is not None and self._transaction.carries(partitions):
                    self._commit(began_at + DRAIN_SHARE * budget_seconds)
            except AbortableError as error:
                self._abort(error, began_at + budget_seconds)
        except EndUnknownError as error:
            if self._stop.requested:
                raise budget_error(self._stop) from None
            raise DeliveryFailedError(
                f"{named(partitions)} went to another member before the brokers said how their transaction ended: "
                f"{error} It counts as a whole or not at all, and a restarted worker goes on from there."
            ) from None
        self._forget(partitions)

    def lost(self, partitions: frozenset[Partition]) -> None:
        """Undo what touches them: its offsets would be refused. See GroupListener."""
        LOG.warning("%s lost to another member", named(partitions))
        self._attempt(self._settle)
        if self._transaction is not None and self._transaction.carries(partitions):
            self._attempt(lambda: self._abort(AbortableError(f"{named(partitions)} lost")))
        self._forget(partitions)

    def _forget(self, partitions: frozenset[Partition]) -> None:
        self._positions = {p: offset for p, offset in self._positions.items() if p not in partitions}
        self._apart = {place for place in self._apart if place[0] not in partitions}
        self._patience.renew()  # what failed may never come again
