"""Bytes to events and back: the only place where a payload is parsed or written.

Decoding is one pass of msgspec for events of known fields only. An event with fields of its own is parsed a second
time to keep them. Whatever is refused is refused with the reason that its dead letter will carry.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from kuaixun.schemas.dead_letter import DeadLetterReason
from kuaixun.schemas.events import LabelledNews, RawNews

_DECODER = msgspec.json.Decoder(RawNews)
_ENCODER = msgspec.json.Encoder()
# The parser's own limit depends on the caller's stack; this one does not, and leaves room to write the event again.
NESTING_LIMIT = 100
_KNOWN_FIELDS = frozenset(RawNews.__struct_encode_fields__)


class UndecodableError(Exception):
    """A payload that is no RawNews: `reason` says in which way, the message says what and where."""

    def __init__(self, reason: DeadLetterReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def decode_raw_news(payload: bytes) -> RawNews:
    """Parse one payload. Raises UndecodableError, and nothing else, for any bytes at all.

    Fields that RawNews does not know join `extra`. Where `extra` already holds one of that name, it stays and the
    field is dropped: `{"extra": {"a": 1}, "a": 2}` has room for one `a`, and the first was put there on purpose.
    """
    try:
        event = _DECODER.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        event = _decode_slowly(payload)
    if event.extra and _deeper_than(event.extra, NESTING_LIMIT):
        raise UndecodableError(DeadLetterReason.INVALID_JSON, f"the value is nested over {NESTING_LIMIT} levels deep")
    return event


def encode_labelled_news(event: LabelledNews) -> bytes:
    """Write one event as compact UTF-8 JSON, fields in the order of the type."""
    return _ENCODER.encode(event)


def _decode_slowly(payload: bytes) -> RawNews:
    """Name what is wrong with a payload, or keep the unknown fields of one that is right."""
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        raise UndecodableError(
            DeadLetterReason.INVALID_UTF8, f"byte {error.start} of the value is not UTF-8: {error.reason}"
        ) from None
    try:
        tree: Any = msgspec.json.decode(payload)
    except RecursionError:
        raise UndecodableError(DeadLetterReason.INVALID_JSON, "the value is nested too deeply") from None
    except (msgspec.DecodeError, ValueError) as error:
        what = _half_a_character(payload) or f"the value is not JSON: {error}"
        raise UndecodableError(DeadLetterReason.INVALID_JSON, what) from None
    if not isinstance(tree, dict):
        raise UndecodableError(
            DeadLetterReason.INVALID_EVENT, f"the value is a JSON {_json_type(tree)}; an event is an object"
        )
    known = {name: value for name, value in tree.items() if name in _KNOWN_FIELDS}
    try:
        event = msgspec.convert(known, RawNews)
    except msgspec.ValidationError as error:
        raise UndecodableError(DeadLetterReason.INVALID_EVENT, f"the event is not a RawNews: {error}") from None
    unknown = {name: value for name, value in tree.items() if name not in _KNOWN_FIELDS and name not in event.extra}
    return msgspec.structs.replace(event, extra={**event.extra, **unknown})


def _half_a_character(payload: bytes) -> str | None:
    """What is wrong where an escape names one half of a surrogate pair, which msgspec takes for an early end."""
    try:
        json.dumps(json.loads(payload), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        escape = f"\\u{ord(error.object[error.start]):04x}"
        return f"the value has {escape} without its other half, which is no character"
    except (ValueError, RecursionError):
        pass
    return None


def _deeper_than(tree: dict[str, Any], levels: int) -> bool:
    """Whether objects and arrays stand in each other to more than this depth; {} has depth 1."""
    level: list[Any] = [tree]
    for _ in range(levels):
        children = [node.values() if isinstance(node, dict) else node for node in level]
        level = [child for several in children for child in several if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def _json_type(tree: object) -> str:
    """The name that JSON gives to a parsed value."""
    names = {type(None): "null", bool: "boolean", int: "number", float: "number", str: "string", list: "array"}
    return names.get(type(tree), type(tree).__name__)
