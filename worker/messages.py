"""What goes to Kafka: messages, singly and as the columns of a batch. The end of a headline's journey."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Self

import msgspec

from kuaixun.schemas.dead_letter import Header


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
