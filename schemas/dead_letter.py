"""An input that cannot be labelled, kept whole: the original key, value and headers, and why, in headers of our own."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, TypeAlias

import msgspec

Header: TypeAlias = tuple[str, bytes | None]

PREFIX = "kuaixun.dead_letter."
MESSAGE_LIMIT_CHARS = 500
_FIELDS = frozenset(
    {
        *("reason", "message", "topic", "partition", "offset", "worker_version"),
        *("value_bytes_cut", "headers_cut", "key_bytes_cut", "failed_replays"),
    }
)


class DeadLetterReason(StrEnum):
    """Why an input has no label. The values are part of the contract: consumers route by them."""

    INVALID_UTF8 = "invalid_utf8"
    INVALID_JSON = "invalid_json"
    INVALID_EVENT = "invalid_event"
    EMPTY_TITLE = "empty_title"
    INVALID_HEADERS = "invalid_headers"
    OUTPUT_TOO_LARGE = "output_too_large"
    OUTPUT_REFUSED = "output_refused"
    CLASSIFICATION_FAILED = "classification_failed"


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """The original record and its reason.

    `value_bytes_cut` counts the bytes missing from the end of `value` where the broker would not take all of it; 0
    means untouched. Where that was not enough, `headers_cut` counts the record's own headers left out, and
    `key_bytes_cut` the bytes missing from the end of `key`. `failed_replays` counts how often `kuaixun-worker replay`
    has tried it since, in vain.
    """

    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    reason: DeadLetterReason
    message: str
    topic: str
    partition: Annotated[int, msgspec.Meta(ge=0)]
    offset: Annotated[int, msgspec.Meta(ge=0)]
    worker_version: str
    value_bytes_cut: Annotated[int, msgspec.Meta(ge=0)] = 0
    headers_cut: Annotated[int, msgspec.Meta(ge=0)] = 0
    key_bytes_cut: Annotated[int, msgspec.Meta(ge=0)] = 0
    failed_replays: Annotated[int, msgspec.Meta(ge=0)] = 0

    @property
    def whole(self) -> bool:
        """Whether key, value and headers are all that the record had."""
        headers_left_out = self.headers_cut or self.reason is DeadLetterReason.INVALID_HEADERS
        return not (self.value_bytes_cut or self.key_bytes_cut or headers_left_out)

    def to_headers(self) -> list[Header]:
        """The record's own headers in their order, then ours; `from_record` undoes it."""
        ours = {
            "reason": self.reason.value,
            "message": self.message[:MESSAGE_LIMIT_CHARS],
            "topic": self.topic,
            "partition": str(self.partition),
            "offset": str(self.offset),
            "worker_version": self.worker_version,
            # Written where they are 0 too: an earlier dead letter's counts may stand among the record's own headers.
            "value_bytes_cut": str(self.value_bytes_cut),
            "headers_cut": str(self.headers_cut),
            "key_bytes_cut": str(self.key_bytes_cut),
            "failed_replays": str(self.failed_replays),
        }
        return [*self.headers, *((PREFIX + name, text.encode("utf-8", "replace")) for name, text in ours.items())]

    @classmethod
    def from_record(cls, key: bytes | None, value: bytes | None, headers: Sequence[Header]) -> DeadLetter:
        """Read a dead-letter topic's record back.

        Raises msgspec.ValidationError where our headers are missing or wrong.
        A record that was dead-lettered twice carries our headers twice; the last of each name counts, and the
        earlier ones stay among the record's own.
        """
        ours: dict[str, str] = {}
        own: list[Header] = []
        for name, content in reversed(headers):
            field = name.removeprefix(PREFIX)
            if field != name and field in _FIELDS and field not in ours and content is not None:
                ours[field] = content.decode("utf-8", "replace")
            else:
                own.append((name, content))
        return msgspec.convert(
            {**ours, "key": key, "value": value, "headers": tuple(reversed(own))},
            cls,
            strict=False,
            builtin_types=(bytes,),
        )
