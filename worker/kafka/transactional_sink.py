"""Writing outcomes in transactions, with the offsets of their inputs. The last station of a headline's journey."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from uuid import uuid4

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from kuaixun.worker.errors import BrokerUnreachableError
from kuaixun.worker.kafka.call_in_time import OverdueError
from kuaixun.worker.kafka.client_errors import REFUSED
from kuaixun.worker.kafka.connection import SLICE_SECONDS
from kuaixun.worker.kafka.sink import KafkaSink
from kuaixun.worker.kafka.transaction_calls import TransactionCalls
from kuaixun.worker.records import Partition
from kuaixun.worker.settings import WorkerSettings
from kuaixun.worker.streams import NO_NOTES, AbortableError, EndUnknownError

GIVE_UP_SECONDS = 3.0  # for an old producer to say that another has its name; the new one makes an end of it anyway
GIVE_UP_SHARE = 0.25  # and of the time that there is no more than this


class KafkaTransactionalSink(KafkaSink):
    """The producer in transactions. See streams.TransactionalSink; `renew` comes before all else.

    `transactional_id` is the operator's name for this worker, or one of its own for each start. With the operator's,
    a restart ends at once what it left open; without, that ends by the transaction's timeout. Either way what keeps
    two owners of a partition apart is the group: offsets of a member that was replaced are refused.
    """

    def __init__(self, settings: WorkerSettings, look: Callable[[], None] = lambda: None) -> None:
        super().__init__(settings, look)
        self._calls = TransactionCalls(self._producer, self._connection)

    def _of_the_guarantee(self, settings: WorkerSettings) -> dict[str, Any]:
        self.transactional_id = settings.transactional_id or f"{settings.group_id}-{uuid4()}"
        timeout_ms = round(settings.transaction_timeout_seconds * 1000)
        return {
            "transactional.id": self.transactional_id,
            "transaction.timeout.ms": timeout_ms,
            "message.timeout.ms": timeout_ms,
            # What is written needs no report, for it counts when the transaction does: a tenth of the worker's time.
            "delivery.report.only.error": True,
        }

    @property
    def waiting(self) -> int:
        """See streams.TransactionalSink."""
        return len(self._producer)

    def begin(self) -> None:
        """See streams.TransactionalSink."""
        self._calls.until_done(
            lambda _: self._producer.begin_transaction(), time.monotonic(), "beginning a transaction"
        )

    def flush(self, timeout_seconds: float) -> bool:
        """See streams.TransactionalSink."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                left = self._producer.flush(min(SLICE_SECONDS, max(0.0, deadline - time.monotonic())))
            except (KafkaException, SystemError) as exception:
                self._connection.raise_written(exception)
                left = len(self._producer)
            self._report()
            self._connection.raise_noted()
            if not left or time.monotonic() >= deadline:
                return not left

    def commit(
        self,
        offsets: Mapping[Partition, int],
        member: bytes,
        timeout_seconds: float,
        notes: Mapping[Partition, str] = NO_NOTES,
    ) -> None:
        """See streams.TransactionalSink."""
        positions = [TopicPartition(p.topic, p.number, offset, notes.get(p, "")) for p, offset in offsets.items()]
        deadline = time.monotonic() + timeout_seconds
        doing = "adding offsets to a transaction"
        add_offsets = partial(self._producer.send_offsets_to_transaction, positions, member)
        try:
            self._calls.until_done_in_time(add_offsets, deadline, doing)
        except EndUnknownError as late:
            raise AbortableError(str(late)) from None
        except OverdueError as overdue:
            raise EndUnknownError(f"{doing}: the client did not come back in time") from overdue
        self._calls.until_done(self._producer.commit_transaction, deadline, "committing a transaction")
        self._connection.outage.over()

    def abort(self, timeout_seconds: float) -> None:
        """See streams.TransactionalSink. Raises AccessRefusedError where a missing right has spoilt it."""
        deadline = time.monotonic() + timeout_seconds
        try:
            # Begins nothing in the midst of a transaction: it is the one question that the client answers with what
            # has spoilt this one. Messages only say that they were purged.
            self._producer.begin_transaction()
        except KafkaException as exception:
            if exception.args[0].code() in REFUSED:
                raise self._connection.error(exception.args[0], "writing in a transaction") from None
        try:
            self._calls.until_done(self._producer.abort_transaction, deadline, "aborting a transaction")
        except AbortableError as error:
            raise EndUnknownError(str(error)) from None
        finally:
            self._report()

    def renew(self, timeout_seconds: float) -> None:
        """See streams.TransactionalSink. Raises BrokerUnreachableError where no coordinator answers in time."""
        deadline = time.monotonic() + timeout_seconds
        self._calls.give_up(time.monotonic() + min(GIVE_UP_SECONDS, GIVE_UP_SHARE * timeout_seconds))
        self._begin_anew()
        self._calls = TransactionCalls(self._producer, self._connection)
        doing = f"asking for the transactional id {self.transactional_id}"
        try:
            self._calls.until_done(self._producer.init_transactions, deadline, doing)
        except EndUnknownError as late:
            bootstrap = self._connection.settings.bootstrap_servers
            raise BrokerUnreachableError(
                f"No answer while {doing} at {bootstrap} within {timeout_seconds:g} s: {late}. Check the network, the "
                "brokers, and that they have a transaction coordinator (transaction.state.log.replication.factor "
                "brokers at least)."
            ) from None
        self._connection.outage.over()

    def _failure(self, error: KafkaError, topic: str) -> Exception:
        # Spoilt, or at an end: to abort it then says which, and why.
        if error.code() in (KafkaError._STATE, KafkaError._FATAL):
            return AbortableError(self._connection.hide(error.str()))
        return super()._failure(error, topic)
