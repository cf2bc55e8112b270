"""Commits under way, and what became of the last one. What the first station remembers of a headline's end."""

from __future__ import annotations

import logging

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from kuaixun.worker.errors import AccessRefusedError, WorkerError
from kuaixun.worker.kafka.client_errors import FATAL, REBALANCING, REFUSED
from kuaixun.worker.kafka.connection import LEAST_SECONDS, Connection
from kuaixun.worker.kafka.outage import Outage
from kuaixun.worker.records import Partition
from kuaixun.worker.streams import GroupListener

LOG = logging.getLogger(__name__)


class Commits:
    """A consumer's commits. `listener` hears of what is stored, `failure` says why the last one was not.

    `answered` is librdkafka's `on_commit`, called from inside any call that serves callbacks.
    """

    def __init__(self, connection: Connection) -> None:
        self.listener: GroupListener | None = None
        self.under_way = 0
        self.failure: WorkerError | None = None
        self.outage = Outage(connection.settings.outage_seconds, connection.monotonic)
        self._connection = connection
        self._positions: list[TopicPartition] = []

    def begin(self, consumer: Consumer, positions: list[TopicPartition]) -> None:
        """Ask for one; does not wait, and raises nothing."""
        self._positions = positions
        try:
            consumer.commit(offsets=positions, asynchronous=True)
            self.under_way += 1
        except KafkaException as exception:
            self.failure = self._connection.error(exception.args[0], "committing")
            LOG.warning("commit not begun: %s", self.failure)

    def answered(self, error: KafkaError | None, positions: list[TopicPartition]) -> None:
        """Take the answer to one; a bad one counts as an outage, unless the group moves on without it."""
        self.under_way -= 1
        stored = {Partition(p.topic, p.partition): p.offset for p in positions if error is None and p.error is None}
        if stored and self.listener is not None:
            self.listener.committed(stored)
        failed = error or next((p.error for p in positions if p.error is not None), None)
        self.failure = None
        if failed is None or failed.code() == KafkaError._NO_OFFSET:
            self.outage.over()
            return
        if failed.code() in REBALANCING:
            self.outage.over()
            # What is still ours is committed next time, and what is not is labelled again by whoever holds it now.
            LOG.info("offsets not committed during a rebalance (%s)", failed.name())
            return
        found = self.failure = self._connection.error(failed, "committing")
        if failed.fatal() or failed.code() in REFUSED | FATAL:
            self._connection.raise_later(found)
        else:
            self.outage.trouble(found)

    def await_last(self, consumer: Consumer, deadline: float) -> None:
        """Wait for its answer, and commit again where that was bad, for a restarted worker would do all of it again."""
        while (self.under_way or self.failure is not None) and self._connection.monotonic() < deadline:
            if not self.under_way:
                if isinstance(self.failure, AccessRefusedError):
                    return
                self.begin(consumer, self._positions)
            consumer.consume(1, LEAST_SECONDS / 2)
