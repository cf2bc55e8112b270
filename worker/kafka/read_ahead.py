"""What the client has handed over and the loop has not taken yet. Within the first station of a headline's journey."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence

from confluent_kafka import KafkaError

from kuaixun.worker.streams import Partition, Record


class ReadAhead:
    """Records read ahead, and the partitions in which reading is to go on elsewhere than where it stands.

    `rewinds` are offsets to go back to, `gone` the partitions whose next offset is not on the topic, with the error.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.rewinds: dict[Partition, int] = {}
        self.gone: dict[Partition, KafkaError] = {}

    def add(self, records: Iterable[Record]) -> None:
        """Append what was read."""
        self.records += records

    def take(self, max_records: int) -> Sequence[Record]:
        """Hand over the first so many."""
        taken, self.records = self.records[:max_records], self.records[max_records:]
        return taken

    def keep(self, partitions: Container[Partition]) -> None:
        """Drop the records of all others."""
        self.records = [r for r in self.records if Partition(r.topic, r.partition) in partitions]

    def drop(self, partitions: Container[Partition]) -> None:
        """Drop the records of these."""
        self.records = [r for r in self.records if Partition(r.topic, r.partition) not in partitions]

    def forget(self, partitions: frozenset[Partition]) -> None:
        """What comes of these from here on was read anew, even if they are ours again within the same call."""
        for partition in partitions:
            self.rewinds.pop(partition, None)
            self.gone.pop(partition, None)
        self.drop(partitions)

    def take_rewinds(self) -> dict[Partition, int]:
        """The rewinds asked for, without what was read of their partitions before."""
        rewinds, self.rewinds = self.rewinds, {}
        if rewinds:
            self.drop(rewinds)
        return rewinds

    def take_gone(self) -> Iterator[tuple[Partition, KafkaError]]:
        """The partitions whose position is gone, once all that was read of them before is handed over.

        What is handed over with the choice of another would be committed past, and so overwrite what was chosen.
        """
        for where, error in list(self.gone.items()):
            if not any((record.topic, record.partition) == where for record in self.records):
                del self.gone[where]
                yield where, error
