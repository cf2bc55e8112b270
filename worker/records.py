"""What comes of Kafka: records, singly and as the columns of a batch. Through the whole of a headline's journey."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import compress
from operator import attrgetter
from typing import NamedTuple, overload

import msgspec

from kuaixun.schemas.dead_letter import Header


class Partition(NamedTuple):
    """A partition of a topic."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.number}]"


def named(partitions: Iterable[Partition]) -> str:
    """Partitions for people to read.

    >>> named({Partition("news", 1), Partition("news", 0)})
    'news[0], news[1]'
    """
    return ", ".join(map(str, sorted(partitions)))


class Record(msgspec.Struct, frozen=True, gc=False):
    """One consumed record. `timestamp_ms` is None where the record has none.

    `headers_unreadable`: it has headers that the client cannot hand over, so `headers` is empty.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()
    timestamp_ms: int | None = None
    headers_unreadable: bool = False


@dataclass(slots=True)
class Records(Sequence[Record]):
    """Records of a batch, each field of theirs a column: as many rows as records, which are made where asked for.

    A column is read and never written to. `extend` is for whoever has shown these to nobody yet.
    """

    topics: list[str] = field(default_factory=list)
    partitions: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    headers: list[tuple[Header, ...]] = field(default_factory=list)
    timestamps_ms: list[int | None] = field(default_factory=list)
    headers_unreadable: list[bool] = field(default_factory=list)

    @classmethod
    def of(cls, records: Sequence[Record]) -> Records:
        """These, as they are or as columns."""
        if isinstance(records, Records):
            return records
        return cls(*map(list, zip(*map(_fields_of, records), strict=True)))

    @property
    def topic(self) -> str | None:
        """The one topic of all of them; None where there are several, or no records."""
        topics = self.topics
        return topics[0] if topics and topics.count(topics[0]) == len(topics) else None

    def last_offsets(self) -> dict[Partition, int]:
        """Where the last record of each partition stands."""
        return self._offsets_by_partition(1)

    def first_offsets(self) -> dict[Partition, int]:
        """Where the first record of each partition stands."""
        return self._offsets_by_partition(-1)

    def _offsets_by_partition(self, step: int) -> dict[Partition, int]:
        """Of several records of a partition the last counts, in steps through all."""
        numbers, offsets = self.partitions[::step], self.offsets[::step]
        if (topic := self.topic) is not None:  # they are told apart by less
            return {Partition(topic, number): o for number, o in dict(zip(numbers, offsets, strict=True)).items()}
        return dict(zip(map(Partition, self.topics[::step], numbers), offsets, strict=True))

    def where(self, kept: Sequence[bool]) -> Records:
        """Those for which this is true."""
        return self if all(kept) else Records(*(list(compress(column, kept)) for column in _columns_of(self)))

    def extend(self, records: Records) -> None:
        """Append these."""
        for column, more in zip(_columns_of(self), _columns_of(records), strict=True):
            column += more

    def __len__(self) -> int:
        return len(self.offsets)

    def __iter__(self) -> Iterator[Record]:
        return map(Record, *_columns_of(self))

    @overload
    def __getitem__(self, row: int) -> Record: ...

    @overload
    def __getitem__(self, row: slice) -> Records: ...

    def __getitem__(self, row: int | slice) -> Record | Records:
        if isinstance(row, int):
            return Record(*(column[row] for column in _columns_of(self)))
        if row.indices(len(self)) == (0, len(self), 1):
            return self
        return Records(*(column[row] for column in _columns_of(self)))


_fields_of = attrgetter(*Record.__struct_fields__)
_columns_of = attrgetter(*(column.name for column in fields(Records)))
