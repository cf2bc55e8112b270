"""How a member of the group takes over partitions and gives them up, which the group's protocol decides.

The first station of a headline's journey. Eager: everybody gives up everything, then gets a new set. Cooperative, and
the protocol of Kafka 4 (KIP-848): partition by partition, so that a member that joins does not stop the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Protocol

from confluent_kafka import TopicPartition

from kuaixun.worker.records import Partition


class GroupProtocol(StrEnum):
    """All workers of a group use the same one: eager and cooperative members refuse each other."""

    EAGER = "eager"
    COOPERATIVE = "cooperative"
    CONSUMER = "consumer"


PROPERTIES: dict[GroupProtocol, dict[str, str]] = {
    GroupProtocol.EAGER: {"group.protocol": "classic", "partition.assignment.strategy": "range,roundrobin"},
    GroupProtocol.COOPERATIVE: {"group.protocol": "classic", "partition.assignment.strategy": "cooperative-sticky"},
    GroupProtocol.CONSUMER: {"group.protocol": "consumer"},  # its assignor is the broker's
}


class Assigning(Protocol):
    """What assigning needs of the client's consumer; all raise KafkaException."""

    def assign(self, partitions: list[TopicPartition], /) -> None:
        """Read these and no others."""

    def incremental_assign(self, partitions: list[TopicPartition], /) -> None:
        """Read these too."""

    def incremental_unassign(self, partitions: list[TopicPartition], /) -> None:
        """Read these no more."""

    def assignment(self) -> list[TopicPartition]:
        """What is being read."""

    def position(self, partitions: list[TopicPartition], /) -> list[TopicPartition]:
        """Where reading stands."""


class Expecting(Protocol):
    """Whoever is to know of what is read; see reading.Reading."""

    def begin(self, partitions: Iterable[Partition], /) -> None:
        """These are about to be read."""

    def end(self, partitions: Iterable[Partition], /) -> None:
        """These are about to be read no more."""


class Membership:
    """The client's side of a group's protocol; raises KafkaException.

    The client itself lets go of what is revoked, in the way of its protocol, once the callback has returned.
    """

    def __init__(self, protocol: GroupProtocol, reading: Expecting) -> None:
        self._reading = reading
        self._eager = protocol is GroupProtocol.EAGER
        self.is_called_back_only_with_a_share = protocol is GroupProtocol.CONSUMER
        self.group_names_its_members = protocol is not GroupProtocol.CONSUMER

    def take_over(self, consumer: Assigning, positions: list[TopicPartition]) -> None:
        """Read newly assigned partitions from these positions."""
        self._reading.begin(map(_place, positions))
        if self._eager:
            consumer.assign(positions)
        else:
            consumer.incremental_assign(positions)

    def read_on_from(self, consumer: Assigning, position: TopicPartition) -> None:
        """Begin anew in a partition whose reading has stopped at an error, for which `seek` is too late."""
        if self._eager:
            others = [p for p in consumer.assignment() if _place(p) != _place(position)]
            positions = [*(consumer.position(others) if others else []), position]
            self._reading.end(map(_place, positions))
            # All are stopped and assigned in one call, so none begins before: a queue that goes with what is stopped
            # must not be forwarded. What is fetched until then waits in the partition's own, and comes with it.
            consumer.assign(positions)
            self._reading.begin(map(_place, positions))
        else:
            self._reading.end([_place(position)])
            consumer.incremental_unassign([position])
            self._reading.begin([_place(position)])
            consumer.incremental_assign([position])


def _place(position: TopicPartition) -> Partition:
    return Partition(position.topic, position.partition)
