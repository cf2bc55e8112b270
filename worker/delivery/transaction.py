"""What one open transaction holds: batches on their way, where it began, and how far it would commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from kuaixun.worker.delivery.flights import Flight
from kuaixun.worker.records import Partition, Record

Place: TypeAlias = tuple[Partition, int]
"""A record's partition and offset."""


def place_of(record: Record) -> Place:
    """Where a record stands."""
    return Partition(record.topic, record.partition), record.offset


@dataclass(slots=True)
class Transaction:
    """`starts` is what to read again from where it is undone, `offsets` what it commits; `began_at` is monotonic.

    `positions` are those of `offsets` that were chosen and not come by. `rest` waits for the transaction after this.
    """

    began_at: float
    flights: list[Flight] = field(default_factory=list)
    starts: dict[Partition, int] = field(default_factory=dict)
    offsets: dict[Partition, int] = field(default_factory=dict)
    positions: dict[Partition, int] = field(default_factory=dict)
    rest: Flight | None = None

    def add(self, flight: Flight) -> None:
        """One more batch."""
        self.flights.append(flight)
        self.starts = firsts(flight) | self.starts
        self.offsets |= flight.next_offsets

    def keep_for_later(self, rest: Flight) -> None:
        """A batch that is read again too where this is undone, and is no part of it otherwise."""
        self.rest = rest
        self.starts = firsts(rest) | self.starts

    def part(self) -> Flight:
        """Part with what waits for room, which is kept for later."""
        flight = self.flights[-1]
        self.rest = rest = flight.split(flight.queued)
        self.offsets = dict(self.positions)
        for flight in self.flights:
            self.offsets |= flight.next_offsets
        return rest

    def position(self, offsets: Mapping[Partition, int]) -> None:
        """These partitions are read from here on, and what lies before is gone: nobody can read it again."""
        for partition in offsets:
            self.starts.pop(partition, None)
            for flight in self.flights:
                flight.next_offsets.pop(partition, None)
        self.positions |= offsets
        self.offsets |= offsets

    @property
    def boarding(self) -> Flight | None:
        """The newest batch, while outcomes of it wait for room in the producer's queue."""
        return self.flights[-1] if self.flights and self.flights[-1].boarding else None

    def carries(self, partitions: frozenset[Partition]) -> bool:
        """Whether it commits offsets of these partitions."""
        return not partitions.isdisjoint(self.offsets)


def firsts(flight: Flight) -> dict[Partition, int]:
    """Where each partition of a batch begins, without those that it has forgotten."""
    found = flight.records.first_offsets()
    return {partition: found[partition] for partition in flight.next_offsets.keys() & found.keys()}
