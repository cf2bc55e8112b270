"""Where reading begins in a partition: at the group's offset, or where the operator chose when there is none.

Before the first station of a headline's journey.
"""

from __future__ import annotations

import logging
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from kuaixun.worker.errors import OffsetsMissingError
from kuaixun.worker.kafka.client_errors import COORDINATOR_ON_ITS_WAY
from kuaixun.worker.kafka.connection import LEAST_SECONDS, Connection
from kuaixun.worker.kafka.membership import Membership
from kuaixun.worker.records import Partition
from kuaixun.worker.settings import OffsetReset
from kuaixun.worker.streams import GroupListener

LOG = logging.getLogger(__name__)


class Starts:
    """Where a consumer's reading begins. `listener` hears of what is read from where no committed offset said so."""

    def __init__(self, connection: Connection, consumer: Consumer, membership: Membership) -> None:
        self.listener: GroupListener | None = None
        self._connection, self._consumer, self._membership = connection, consumer, membership
        self._monotonic = connection.monotonic
        self._reset = connection.settings.auto_offset_reset
        self._turn_ends_at = 0.0

    def begin_turn(self) -> None:
        """What callbacks ask the brokers for has one outage's time together, however many of them there are."""
        self._turn_ends_at = self._monotonic() + self._connection.settings.outage_seconds

    def positions(self, assigned: list[TopicPartition]) -> list[TopicPartition]:
        """Committed offsets, or what the operator chose. Raises OffsetsMissingError and KafkaException."""
        positions = self.stable_offsets(assigned, self._turn_ends_at)
        unread = []
        for position in positions:
            if position.offset >= 0:
                continue
            if self._reset is OffsetReset.STOP:
                raise OffsetsMissingError(
                    f"The group {self._connection.settings.group_id} has no committed offset for "
                    f"{Partition(position.topic, position.partition)}, and "
                    "KUAIXUN_AUTO_OFFSET_RESET is stop. Set it to earliest or latest to begin."
                )
            if self._reset is OffsetReset.EARLIEST:
                position.offset = OFFSET_BEGINNING
            else:
                unread.append(position)
        self._begin_at_the_end(unread)
        return positions

    def stable_offsets(self, positions: list[TopicPartition], deadline: float) -> list[TopicPartition]:
        """Committed offsets, once no transaction is open over them: a killed worker's lasts until its timeout.

        Asks again where the group's coordinator has moved or is still reading its log, which the client does not.
        Raises KafkaException.
        """
        while positions:
            try:
                found = self._consumer.committed(positions, timeout=max(LEAST_SECONDS, deadline - self._monotonic()))
                for position in found:
                    if position.error is not None:
                        raise KafkaException(position.error)
            except KafkaException as exception:
                if exception.args[0].code() not in COORDINATOR_ON_ITS_WAY or self._monotonic() >= deadline:
                    raise
                time.sleep(LEAST_SECONDS)
            else:
                return found
        return []

    def begin_anew(self, where: Partition, error: KafkaError) -> None:
        """The group's offset is not on the topic (retention passed it, or the topic was made anew): choose aloud.

        Raises WorkerErrors.
        """
        if self._reset is OffsetReset.STOP:
            raise OffsetsMissingError(
                f"The group's position in {where} is not on the topic any more: {self._connection.hide(error.str())}. "
                "Retention may have passed it. Set KUAIXUN_AUTO_OFFSET_RESET to earliest or latest to read on."
            )
        LOG.warning("position in %s is not on the topic any more, reading on from the %s record", where, self._reset)
        position = TopicPartition(where.topic, where.number)
        try:
            if self._reset is OffsetReset.EARLIEST:
                position.offset = OFFSET_BEGINNING
            else:
                self._begin_at_the_end([position])
            self._membership.read_on_from(self._consumer, position)
        except KafkaException as exception:
            raise self._connection.error(exception.args[0], f"choosing where to read on in {where}") from None

    def _begin_at_the_end(self, positions: list[TopicPartition]) -> None:
        """Position at the topic's end. Raises KafkaException.

        As a number, which is committed at once: a worker that restarts before its first headline must not skip what
        came meanwhile.
        """
        for position in positions:
            left_seconds = max(LEAST_SECONDS, self._turn_ends_at - self._monotonic())
            _, position.offset = self._consumer.get_watermark_offsets(position, timeout=left_seconds)
        if positions and self.listener is not None:
            self.listener.positioned({Partition(p.topic, p.partition): p.offset for p in positions})
