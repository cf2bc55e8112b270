"""What one open transaction holds: batches on their way, where it began, and how far it would commit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from kuaixun.worker.delivery.flights import Flight
from kuaixun.worker.streams import Partition, Record

Place: TypeAlias = tuple[Partition, int]
"""A record's partition and offset."""


def place_of(record: Record) -> Place:
    """Where a record stands."""
    return Partition(record.topic, record.partition), record.offset


@dataclass(slots=True)
class Transaction:
    """`starts` is what to read again from where it is undone, `offsets` what it commits; `began_at` is monotonic."""

    began_at: float
    flights: list[Flight] = field(default_factory=list)
    starts: dict[Partition, int] = field(default_factory=dict)
    offsets: dict[Partition, int] = field(default_factory=dict)

    def add(self, flight: Flight) -> None:
        """One more batch."""
        self.flights.append(flight)
        # The first record of each partition wins, for records come in order.
        firsts = {(record.topic, record.partition): record.offset for record in reversed(flight.records)}
        self.starts = {Partition(*where): offset for where, offset in firsts.items()} | self.starts
        self.offsets |= flight.next_offsets

    @property
    def boarding(self) -> Flight | None:
        """The newest batch, while outcomes of it wait for room in the producer's queue."""
        return self.flights[-1] if self.flights and self.flights[-1].boarding else None

    def in_flight(self) -> int:
        """How many batches are not reported on in full."""
        return sum(not flight.landed for flight in self.flights)

    def carries(self, partitions: frozenset[Partition]) -> bool:
        """Whether it commits offsets of these partitions."""
        return not partitions.isdisjoint(self.offsets)
