"""The client's messages as the worker's records. The first station of a headline's journey."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from kuaixun.worker.records import Records


def records_of(messages: Sequence[Message], topic: str | None = None) -> Records:
    """The records of messages without an error, all of them of `topic` where it is named."""
    found: list[Any] = []
    unreadable: set[int] = set()
    # Where a name is not UTF-8 the client leaves an exception set and returns all the same, which the interpreter does
    # not see in a call of a method that it has specialised; then whatever is called next fails. `map` always sees it.
    asking = map(Message.headers, messages)
    while len(found) < len(messages):
        try:
            found.extend(asking)
        except (UnicodeDecodeError, SystemError):
            # A name that is not UTF-8, which Kafka does not forbid; the client knows names as str alone. It is asked
            # once: the second time it hands over what it could not read as if nothing were wrong.
            unreadable.add(len(found))
            found.append(None)
    columns: dict[str, list[Any]] = {  # the client types what an error may lack as optional
        name: list(map(part, messages))
        for name, part in (
            ("partitions", Message.partition),
            ("offsets", Message.offset),
            ("keys", Message.key),
            ("values", Message.value),
        )
    }
    headers_unreadable = [False] * len(messages)
    for index in unreadable:
        headers_unreadable[index] = True
    return Records(
        topics=[topic] * len(messages) if topic is not None else [str(message.topic()) for message in messages],
        **columns,
        headers=[tuple(some) if some else () for some in found] if any(found) else [()] * len(messages),
        timestamps_ms=[
            None if kind == TIMESTAMP_NOT_AVAILABLE or timestamp_ms < 0 else timestamp_ms
            for kind, timestamp_ms in map(Message.timestamp, messages)
        ],
        headers_unreadable=headers_unreadable,
    )
