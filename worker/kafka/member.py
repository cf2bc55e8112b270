"""This worker as a member of its group: how it joins, is given partitions and loses them, and leaves.

Before the first station of a headline's journey. `membership.py` is what the group's protocol makes of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeAlias, cast

from confluent_kafka import Consumer, KafkaException, TopicPartition

from kuaixun.worker.errors import WorkerError
from kuaixun.worker.kafka.connection import LEAST_SECONDS, Connection
from kuaixun.worker.kafka.membership import Membership
from kuaixun.worker.kafka.starts import Starts
from kuaixun.worker.records import Partition, named
from kuaixun.worker.streams import AbortableError, GroupListener

LOG = logging.getLogger(__name__)

_Tell: TypeAlias = Callable[[GroupListener, frozenset[Partition]], None]


class Member:
    """A consumer's place in its group; `owned` are the partitions that it holds, `rebalances` counts by what they did.

    `forget` is called with partitions that leave, before the listener is told; `keeps_its_place` says that the member
    has a name of its own, under which it comes back.
    """

    def __init__(
        self,
        connection: Connection,
        consumer: Consumer,
        membership: Membership,
        starts: Starts,
        *,
        forget: Callable[[frozenset[Partition]], None],
        keeps_its_place: bool,
    ) -> None:
        self.owned: frozenset[Partition] = frozenset()
        self.rebalances = {"assigned": 0, "revoked": 0, "lost": 0}
        self._connection, self._consumer, self._membership, self._starts = connection, consumer, membership, starts
        self._forget, self._keeps_its_place = forget, keeps_its_place
        self._listener: GroupListener | None = None
        self._stranger = b""  # what a member is to a group that it has not joined
        self._leaving = self._joined = False

    def join(self, topics: Sequence[str], listener: GroupListener) -> None:
        """Join the group; partitions come from inside a later call that serves callbacks."""
        self._listener = listener
        self._stranger = self._name()
        self._consumer.subscribe([*topics], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)

    @property
    def joined(self) -> bool:
        """See streams.Source. Under KIP-848 a member with no share is not called back, but the group has named it.

        A member that is dropped has not joined until it is given a share again; under KIP-848, where it keeps its name,
        that cannot be told.
        """
        if not self._joined and self._membership.is_called_back_only_with_a_share:
            self._joined = self._name() != self._stranger
        return self._joined

    def name(self) -> bytes:
        """See streams.Source.member."""
        name = self._name()
        # Under KIP-848 a client names itself, and the brokers refuse the name of one that they have dropped.
        nameless = self._membership.group_names_its_members and len(name) <= len(self._stranger)
        if self._listener is not None and (nameless or name == self._stranger):
            raise AbortableError("the group has dropped this worker")
        return name

    def begin_to_leave(self) -> None:
        """From here on callbacks give and take nothing."""
        self._leaving = True

    def leave(self, deadline: float) -> None:
        """Tell the group, where closing the client would not. Blocks; raises nothing of the client's."""
        # In the cooperative protocol the client (2.16) tells the group that it leaves by way of giving up partitions,
        # and one that holds none, such as before its first ones come, stays a member until its session times out.
        # Unsubscribing tells it, once a rebalance under way is over, and takes its name in the group away.
        # A member with a name of its own stays on purpose.
        if self._listener is not None and not self.owned and not self._keeps_its_place:
            with suppress(KafkaException, SystemError):
                self._consumer.unsubscribe()
                while len(self._name()) > len(self._stranger) and self._connection.monotonic() < deadline:
                    self._consumer.consume(1, LEAST_SECONDS / 2)

    def _name(self) -> bytes:
        return cast("bytes", self._consumer.consumer_group_metadata())

    def _on_assign(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        if self._leaving:
            return
        try:
            self._membership.take_over(consumer, self._starts.positions(assigned))
        except KafkaException as exception:
            self._connection.raise_later(self._connection.error(exception.args[0], "taking over partitions"))
        except WorkerError as error:
            self._connection.raise_later(error)
        else:
            self.owned |= _partitions(assigned)
            self._joined = True
            self.rebalances["assigned"] += 1
            taken = named(_partitions(assigned))
            LOG.info("assigned %s", taken or "nothing", extra={"partitions": taken})

    def _on_revoke(self, _consumer: Consumer, revoked: list[TopicPartition]) -> None:
        self._let_go("revoked", revoked, lambda listener, partitions: listener.revoked(partitions))

    def _on_lost(self, _consumer: Consumer, lost: list[TopicPartition]) -> None:
        self._joined = False
        self._let_go("lost", lost, lambda listener, partitions: listener.lost(partitions))

    def _let_go(self, event: str, leaving: list[TopicPartition], tell: _Tell) -> None:
        partitions = _partitions(leaving)
        if self._leaving or self._listener is None or not partitions:
            return
        self.rebalances[event] += 1
        self.owned -= partitions
        self._forget(partitions)
        try:
            tell(self._listener, partitions)
        except WorkerError as error:
            self._connection.raise_later(error)
        else:
            LOG.info("gave up %s", named(partitions), extra={"partitions": named(partitions)})


def _partitions(positions: list[TopicPartition]) -> frozenset[Partition]:
    return frozenset(Partition(position.topic, position.partition) for position in positions)
