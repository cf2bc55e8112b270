"""Batches on their way to the broker, in order: what is confirmed, and how far each partition may be committed.

Production of one batch need not wait for the confirmation of the last, so several are in flight at once; offsets move
only past batches that are confirmed as a whole, together with all before them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from kuaixun.worker.outcomes import Outcome, Outcomes
from kuaixun.worker.records import Partition, Record, Records
from kuaixun.worker.streams import Receipts, Report


class Flight(Receipts):
    """One batch on its way. `outcomes` stands parallel to `records` and may still change.

    `queued` counts the outcomes that the producer's queue has taken, in order: where it is full the rest waits here.
    """

    def __init__(self, records: Sequence[Record], outcomes: Sequence[Outcome]) -> None:
        super().__init__(len(records))
        self.records = Records.of(records)
        self.outcomes = Outcomes.of(outcomes).copy()
        if len(self.outcomes) != len(self.records):
            raise AssertionError(f"{len(self.outcomes)} outcomes of {len(self.records)} records")
        self.next_offsets = _next_offsets(self.records)

    @property
    def boarding(self) -> bool:
        """Whether outcomes wait for room in the producer's queue."""
        return self.queued < len(self.records)

    @property
    def landed(self) -> bool:
        """Whether every message has been reported on."""
        return self.awaited == 0

    def leave_behind(self, partitions: frozenset[Partition]) -> None:
        """Do without what is not queued yet of partitions that are no longer ours."""
        places = map(Partition, self.records.topics, self.records.partitions)
        kept = [row < self.queued or place not in partitions for row, place in enumerate(places)]
        self.awaited -= kept.count(False)
        self.records, self.outcomes = self.records.where(kept), self.outcomes.where(kept)

    def split(self, at: int) -> Flight:
        """Part with the records from `at` on, none of which is queued: they are a flight of their own."""
        rest = Flight(self.records[at:], self.outcomes[at:])
        self.awaited -= len(rest.records)
        self.records, self.outcomes = self.records[:at], self.outcomes[:at]
        known = self.next_offsets.keys()  # what was forgotten of them stays so
        rest.next_offsets = {p: offset for p, offset in rest.next_offsets.items() if p in known}
        self.next_offsets = {p: offset for p, offset in _next_offsets(self.records).items() if p in known}
        return rest

    def report_for(self, index: int) -> Report:
        """The report of the `index`-th outcome's message."""
        return partial(self.report, index)


def _next_offsets(records: Records) -> dict[Partition, int]:
    return {partition: offset + 1 for partition, offset in records.last_offsets().items()}


class Flights:
    """The flights in the order of their departure, and the positions that they leave behind.

    `records` counts those of all flights.
    """

    def __init__(self) -> None:
        self.records = 0
        self._flights: deque[Flight] = deque()
        self._confirmed: dict[Partition, int] = {}
        self._committed: dict[Partition, int] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def depart(self, flight: Flight) -> None:
        """Add the newest flight."""
        self._flights.append(flight)
        self.records += len(flight.records)

    @property
    def boarding(self) -> Flight | None:
        """The newest flight, while outcomes of it wait for room in the producer's queue."""
        return self._flights[-1] if self._flights and self._flights[-1].boarding else None

    def landed(self) -> Iterator[Flight]:
        """The oldest flights as far as all their messages are reported on; each stays aboard until `confirm`."""
        while self._flights and self._flights[0].landed:
            yield self._flights[0]

    def confirm(self, flight: Flight) -> None:
        """The oldest flight's outcomes are all on the broker: its offsets may be committed."""
        if flight is not self._flights[0]:
            raise AssertionError("flights are confirmed in the order of their departure")
        self._flights.popleft()
        self.records -= len(flight.records)
        self._confirmed.update(flight.next_offsets)

    def carries(self, partitions: frozenset[Partition]) -> bool:
        """Whether records of these partitions are in flight."""
        return any(not partitions.isdisjoint(flight.next_offsets) for flight in self._flights)

    def positioned(self, offsets: Mapping[Partition, int]) -> None:
        """These positions need committing although nothing was read up to them; what lies before them is gone."""
        self.forget(frozenset(offsets))
        self._confirmed.update(offsets)

    def uncommitted(self) -> dict[Partition, int]:
        """What may be committed and is not."""
        return {
            partition: offset
            for partition, offset in self._confirmed.items()
            if self._committed.get(partition) != offset
        }

    def committed(self, offsets: Mapping[Partition, int]) -> None:
        """The broker has stored these, if they are still ours."""
        self._committed.update({p: offset for p, offset in offsets.items() if p in self._confirmed})

    def forget(self, partitions: frozenset[Partition]) -> None:
        """These are no longer ours: nothing of them is committed from here on, whatever is confirmed later."""
        for partition in partitions:
            self._confirmed.pop(partition, None)
            self._committed.pop(partition, None)
            for flight in self._flights:
                flight.next_offsets.pop(partition, None)

    def leave_behind(self, partitions: frozenset[Partition]) -> None:
        """Forget these, and do without what is not queued yet of them: it is for the next owner to write."""
        self.forget(partitions)
        if (flight := self.boarding) is not None:
            before = len(flight.records)
            flight.leave_behind(partitions)
            self.records -= before - len(flight.records)
