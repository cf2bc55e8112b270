"""What the client has handed over and the loop has not taken yet. Within the first station of a headline's journey."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterator

from confluent_kafka import KafkaError

from kuaixun.worker.records import Partition, Records

WORTH_SHOWING = 0.5  # of a batch: to label so many is begun before their turn, and of fewer the batch waits for more


class ReadAhead:
    """Records read ahead, and the partitions in which reading is to go on elsewhere than where it stands.

    `rewinds` are offsets to go back to, `gone` the partitions whose next offset is not on the topic, with the error.
    """

    def __init__(self) -> None:
        self._shown: deque[Records] = deque()
        self._rest = Records()
        self.rewinds: dict[Partition, int] = {}
        self.gone: dict[Partition, KafkaError] = {}

    def __len__(self) -> int:
        return sum(map(len, self._shown)) + len(self._rest)

    @property
    def is_shown(self) -> bool:
        """Whether what comes next has been shown."""
        return bool(self._shown)

    @property
    def rest(self) -> int:
        """How many have not been shown."""
        return len(self._rest)

    def add(self, records: Records) -> None:
        """Append what was read."""
        if self._rest:
            self._rest.extend(records)
        else:
            self._rest = records

    def show(self, max_records: int) -> Records:
        """The next batch that has not been shown, empty where too little is read for it."""
        if len(self._rest) < WORTH_SHOWING * max_records:
            return Records()
        self._shown.append(self._part(max_records))
        return self._shown[-1]

    def take(self, max_records: int) -> Records:
        """Hand over the next batch: one that was shown as it was, else the first so many."""
        return self._shown.popleft() if self._shown else self._part(max_records)

    def keep(self, partitions: Container[Partition]) -> None:
        """Drop the records of all others."""
        self._keep_where([place in partitions for place in self._places()])

    def drop(self, partitions: Container[Partition]) -> None:
        """Drop the records of these."""
        self._keep_where([place not in partitions for place in self._places()])

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
            if where not in self._places():
                del self.gone[where]
                yield where, error

    def _part(self, max_records: int) -> Records:
        if len(self._rest) <= max_records:
            part, self._rest = self._rest, Records()
        else:
            part, self._rest = self._rest[:max_records], self._rest[max_records:]
        return part

    def _places(self) -> Iterator[Partition]:
        for records in (*self._shown, self._rest):
            yield from map(Partition, records.topics, records.partitions)

    def _keep_where(self, kept: list[bool]) -> None:
        if all(kept):
            return
        all_of_them = Records()
        for records in (*self._shown, self._rest):
            all_of_them.extend(records)
        self._shown.clear()
        self._rest = all_of_them.where(kept)
