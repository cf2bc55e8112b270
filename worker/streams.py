"""What the loop needs of Kafka, and nothing else: records in, messages out, and word of what became of them.

The first and the last station of a headline's journey. `kafka/` is the real thing; tests put fakes here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeAlias

from kuaixun.worker.messages import Outgoing, OutgoingColumns
from kuaixun.worker.records import Partition, Records


class Mark(NamedTuple):
    """What a group has committed for a partition: an offset, and a note of its own, of 4 KB at most."""

    offset: int
    note: str


NO_NOTES: Mapping[Partition, str] = MappingProxyType({})


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
        self.awaited -= 1
        if isinstance(error, RefusedError):
            self.refused[index] = error
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
        to `max_delay_seconds` for enough of them, and takes what more there is. Empty when none came.
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
