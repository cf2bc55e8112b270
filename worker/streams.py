"""What the loop needs of Kafka, and nothing else: records in, messages out, and word of what became of them.

The first and the last station of a headline's journey. `kafka/` is the real thing; tests put fakes here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import compress
from operator import attrgetter
from types import MappingProxyType
from typing import NamedTuple, Protocol, Self, TypeAlias, overload

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


class Mark(NamedTuple):
    """What a group has committed for a partition: an offset, and a note of its own, of 4 KB at most."""

    offset: int
    note: str


NO_NOTES: Mapping[Partition, str] = MappingProxyType({})


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


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """One message to produce. `partition` None leaves the choice to the client's partitioner."""

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()
    timestamp_ms: int | None = None


class OutgoingColumns(msgspec.Struct, kw_only=True):
    """Messages of a batch, each field of theirs a column: as many rows as messages, which are made where asked for."""

    topics: list[str]
    partitions: list[int | None]
    keys: list[bytes | None]
    values: list[bytes | None]
    headers: list[tuple[Header, ...]]
    timestamps_ms: list[int | None]

    @classmethod
    def of(cls, messages: Sequence[Outgoing]) -> Self:
        """These messages, in their order."""
        return cls(
            topics=[one.topic for one in messages],
            partitions=[one.partition for one in messages],
            keys=[one.key for one in messages],
            values=[one.value for one in messages],
            headers=[one.headers for one in messages],
            timestamps_ms=[one.timestamp_ms for one in messages],
        )

    def __iter__(self) -> Iterator[Outgoing]:
        return map(Outgoing, self.topics, self.partitions, self.keys, self.values, self.headers, self.timestamps_ms)

    def __setitem__(self, row: int, message: Outgoing) -> None:
        self.topics[row], self.partitions[row] = message.topic, message.partition
        self.keys[row], self.values[row] = message.key, message.value
        self.headers[row], self.timestamps_ms[row] = message.headers, message.timestamp_ms


class RefusedError(Exception):
    """The broker, or the client on its behalf, does not take this message. Says nothing of other messages."""


class TooLargeError(RefusedError):
    """It does not take a message of this size; a smaller one may pass, and does where it keeps to a known limit."""

    limit_bytes: int | None = None


class RefusedAlongError(RefusedError):
    """It does not take this message because of another in the same batch of messages, which it names."""


class QueueFullError(Exception):
    """The client holds as many messages as it may. Poll, and send again."""


class AbortableError(Exception):
    """The transaction is spoilt and the producer is not: abort, read its records again, write them again."""


class EndUnknownError(Exception):
    """The coordinator has not said in time whether the transaction is committed or aborted: only a new producer can."""


Report: TypeAlias = Callable[[Exception | None], None]
"""Called once per message: None once it is confirmed, RefusedError, or the WorkerError that its loss amounts to."""


class Receipts:
    """What becomes of a batch's messages, each by its place in it.

    `queued` says how many the client has taken; `error` is the first loss. `awaited` says how many have no report yet,
    where each gets one.
    """

    def __init__(self, count: int) -> None:
        self.queued = 0
        self.awaited = count
        self.refused: dict[int, RefusedError] = {}
        self.error: Exception | None = None

    def report(self, index: int, error: Exception | None) -> None:
        """Take one message's report: None once it is confirmed, RefusedError, or what its loss amounts to."""
        self.report_one_of((index,), error)

    def report_one_of(self, indices: Iterable[int], error: Exception | None) -> None:
        """The same where nobody can tell which of these messages it is: where it is refused, each may be."""
        self.awaited -= 1
        if isinstance(error, RefusedError):
            self.refused |= dict.fromkeys(indices, error)
        elif error is not None and self.error is None:
            self.error = error


class GroupListener(Protocol):
    """Hears of the consumer group. Called from inside `Source.batch` and `stay`; from `close` only `committed`."""

    def positioned(self, offsets: Mapping[Partition, int]) -> None:
        """These partitions are read from here on because no committed offset said otherwise."""

    def revoked(self, partitions: frozenset[Partition]) -> None:
        """These go to another member once this returns: the last chance to commit. May block for the revoke budget."""

    def lost(self, partitions: frozenset[Partition]) -> None:
        """These are another member's already: commit nothing of them."""

    def committed(self, offsets: Mapping[Partition, int]) -> None:
        """The broker has stored these offsets."""


class Source(Protocol):
    """The consumer's side. Every method raises WorkerErrors, and may raise one that a callback met earlier."""

    @property
    def joined(self) -> bool:
        """Whether the group has given this member its share of the partitions, be it none, and not dropped it since."""

    def batch(self, max_records: int, max_delay_seconds: float, idle_seconds: float) -> Records:
        """The next records, in order within each partition, all of partitions that are ours on return.

        What `upcoming` has shown comes as it was shown, at once. Else waits up to `idle_seconds` for the first, then up
        to `max_delay_seconds` for more. Empty when none came.
        """

    def upcoming(self, max_records: int) -> Records:
        """What follows on what was shown already, where more is read than `batch` may hand over; does not block.

        Half as many at least, or none. It is a batch of its own in its turn, unless some of it is not ours by then or
        is to be read again: then it is as if nothing had been shown.
        """

    def stay(self, max_records: int) -> None:
        """Keep this member's place in the group while nothing may be handed over, and read on up to so many records.

        The next `batch` lacks none of them.
        """

    def commit(self, offsets: Mapping[Partition, int], *, last_chance: bool = False) -> None:
        """Start to commit; does not wait. While a commit is under way another one is not begun, but for the last."""

    def rewind(self, offsets: Mapping[Partition, int]) -> None:
        """Read on from these offsets: the next `batch` holds nothing read before. Leaves out what is no longer ours."""

    def committed(self, partitions: frozenset[Partition], timeout_seconds: float) -> Mapping[Partition, int]:
        """What the broker holds for the group once no transaction is open over it. Blocks; leaves out what has none."""

    def member(self) -> bytes:
        """Who this is to the group, for a transaction that commits offsets: a member that was replaced is refused.

        Raises AbortableError where the group has dropped this one, which has no name then: from one without a name the
        brokers take offsets in a transaction unseen, as from clients older than groups in transactions (KIP-447).
        """

    def close(self, timeout_seconds: float) -> bool:
        """Finish commits under way and leave the group; False where one failed, or it took longer than allowed."""


class Sink(Protocol):
    """The producer's side."""

    def send(self, message: Outgoing, report: Report) -> None:
        """Queue one message; does not block; order is kept per partition.

        Raises QueueFullError, RefusedError and WorkerErrors, in which cases `report` is never called.
        """

    def send_all(self, messages: OutgoingColumns, receipts: Receipts) -> None:
        """Queue a batch's messages, those from its `queued` on, in order, up to the first that is not taken.

        Raises nothing for that one: `send` says what it is. `receipts` hears of each that is taken.
        """

    def poll(self, timeout_seconds: float) -> None:
        """Serve reports that are due; wait up to the timeout for the first."""

    def close(self, timeout_seconds: float) -> None:
        """Give up what is unconfirmed, so that it is not written behind the back of a restarted worker."""


class TransactionalSink(Sink, Protocol):
    """The producer's side where what is sent counts for nothing before `commit`.

    All but `flush` raise AbortableError where the transaction is spoilt, and all raise WorkerErrors where the producer
    is. One transaction at a time. Only failures are reported, for `commit` has the word on all the rest.
    """

    @property
    def waiting(self) -> int:
        """How many messages are sent and have no word from the broker yet."""

    def begin(self) -> None:
        """Begin a transaction; does not block."""

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until no message is waiting, its failure reported if it has failed; False where time was over before."""

    def commit(
        self,
        offsets: Mapping[Partition, int],
        member: bytes,
        timeout_seconds: float,
        notes: Mapping[Partition, str] = NO_NOTES,
    ) -> None:
        """Commit messages and the group's offsets together, or neither. Blocks; raises EndUnknownError."""

    def abort(self, timeout_seconds: float) -> None:
        """Undo it; what is unreported is reported as failed. Blocks; raises EndUnknownError."""

    def renew(self, timeout_seconds: float) -> None:
        """Destroy the producer and make it anew under its name, which ends what was open. Blocks."""
