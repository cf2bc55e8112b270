"""A transaction's calls to one producer, from its first to its end. Beside the last station of a headline's journey."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Producer

from kuaixun.worker.errors import FencedError
from kuaixun.worker.kafka.call_in_time import OverdueError, call_in_time
from kuaixun.worker.kafka.client_errors import FENCED, REFUSED
from kuaixun.worker.kafka.connection import LEAST_SECONDS, SLICE_SECONDS, Connection, error_of
from kuaixun.worker.streams import AbortableError, EndUnknownError

LOG = logging.getLogger(__name__)


class TransactionCalls:
    """The calls to one producer, which are made again where the client says that they may be."""

    def __init__(self, producer: Producer, connection: Connection) -> None:
        self._producer, self._connection = producer, connection
        self._in_a_call = False

    def until_done(self, call: Callable[[float], None], deadline: float, doing: str) -> None:
        """Call once, and again where the client says that it may be, until it is done.

        Raises EndUnknownError once the clock is at the deadline, AbortableError, and WorkerErrors.
        """
        while True:
            self._connection.look()
            try:
                return call(max(LEAST_SECONDS, min(SLICE_SECONDS, deadline - time.monotonic())))
            except (KafkaException, SystemError) as exception:
                error = error_of(exception)
            self._connection.raise_noted()
            said = f"{doing}: {self._connection.hide(error.str())} ({error.name()})"
            if error.fatal() or error.code() in REFUSED | FENCED:
                raise self._connection.error(error, doing)
            if error.txn_requires_abort():
                raise AbortableError(said)
            if not error.retriable():
                raise self._connection.error(error, doing)
            # Such as that no broker is there: nobody else listens during a call.
            self._connection.serve_reports(self._producer, 0)
            if time.monotonic() >= deadline:
                raise EndUnknownError(said)
            if error.code() != KafkaError._TIMED_OUT:
                time.sleep(LEAST_SECONDS)

    def until_done_in_time(self, call: Callable[[float], None], deadline: float, doing: str) -> None:
        """The same for a call that may not come back: the client (2.16) asks for the group's coordinator without end.

        Raises OverdueError, and from then on the producer is of no use.
        """
        self.until_done(lambda seconds: self._in_time(partial(call, seconds), deadline), deadline, doing)

    def give_up(self, deadline: float) -> None:
        """Make an end of the producer. Raises FencedError where a newer one has its name, which is to be honoured.

        Not by its `close`, which aborts without end where the brokers are away (confluent-kafka 2.16). What it has
        open is undone by whoever takes its name next, so no more than a part of the time is spent on asking.
        """
        if self._in_a_call:
            # It goes when that comes back, if ever: to be destroyed under the call is more than it bears.
            return
        self._producer.purge()
        ends = False
        while not ends:
            left_seconds = max(LEAST_SECONDS, min(SLICE_SECONDS, deadline - time.monotonic()))
            error = self._error_of_giving_up(partial(self._producer.abort_transaction, left_seconds))
            ends = error is None or not error.retriable() or time.monotonic() >= deadline
        self._error_of_giving_up(partial(self._producer.flush, 0.0))  # which serves the reports on what was purged

    def _in_time(self, call: Callable[[], None], deadline: float) -> None:
        try:
            call_in_time(call, max(LEAST_SECONDS, deadline - time.monotonic()))
        except OverdueError:
            self._in_a_call = True
            raise

    def _error_of_giving_up(self, step: Callable[[], object]) -> KafkaError | None:
        """What the old producer says to a step; what is fatal to it alone is no matter to the next one."""
        doing = "giving up a producer"
        try:
            step()
        except (KafkaException, SystemError) as exception:
            error = error_of(exception)
            found = self._connection.error(error, doing)
            if isinstance(found, FencedError):
                raise found from None
            # Whatever else is fatal to it: the next one makes an end of what it has open.
            LOG.debug("%s", found)
            return error
        return None
