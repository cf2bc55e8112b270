"""The headlines of the demo, before their journey: lines of a file become records for the raw topic.

Three kinds of file are read. Plain text holds one headline a line. JSONL holds events as a producer would send them,
or this project's own lines, which also say what should become of them:

    {"label": "sports", "event": {…}}                       an event and the label its writer gave it
    {"label": "sports", "dirty": "html", "event": {…}}      the same, with markup or other dirt in the title
    {"dead_letter": "empty_title", "event": …}              any JSON that must be refused, and the reason
    {"dead_letter": "invalid_json", "text": "{…"}           a payload that is no JSON
    {"dead_letter": "invalid_utf8", "base64": "…"}          a payload that is no text
    {"tombstone": true, "key": "…"}                         a null value
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from kuaixun.schemas.codec import UndecodableError, decode_raw_news
from kuaixun.schemas.dead_letter import DeadLetterReason
from kuaixun.worker.errors import SettingError

JsonObject: TypeAlias = dict[str, Any]

TOMBSTONE = "tombstone"
LINE_LIMIT_BYTES = 900_000  # librdkafka's default message.max.bytes, less room for a labelled event's own fields

_OWN_FIELDS = frozenset({"label", "dead_letter", "tombstone"})


class HeadlinesError(SettingError):
    """The file cannot be shown; the message names file, line and reason."""


@dataclass(frozen=True, slots=True)
class Headline:
    """One line of the file.

    `expected` is the label, the dead-letter reason or TOMBSTONE that its writer expects, None where nobody said.
    `event` is set where the payload is an event whose id can be made fresh; else `payload` goes out as it is.
    """

    name: str
    event: JsonObject | None
    payload: bytes | None
    expected: str | None
    dirty: str | None = None

    def record(self, sequence: int) -> tuple[str, bytes | None]:
        """The key and value of the `sequence`-th record: `kx-0007@1203`. No two records share a key.

        An event carries its record's key as its id, so that it can be told from the same headline's other rounds.
        """
        key = f"{self.name}@{sequence}"
        if self.event is None:
            return key, self.payload
        return key, msgspec.json.encode({**self.event, "id": key})


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of this project's own lines, as the module's docstring draws them."""

    label: str | None = None
    dead_letter: DeadLetterReason | None = None
    tombstone: bool = False
    dirty: str | None = None
    event: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    text: str | None = None
    base64: bytes | None = None
    key: str | None = None


def own_headlines() -> Path:
    """The file written for this project."""
    return Path(__file__).with_name("headlines.jsonl")


def read_headlines(path: Path) -> list[Headline]:
    """Read a whole file. Raises HeadlinesError for the first thing wrong with it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise HeadlinesError(f"cannot read the headlines: {path}: {error.strerror or error}") from None
    lines = [(number, line.strip()) for number, line in enumerate(content.split(b"\n"), start=1)]
    lines = [(number, line) for number, line in lines if line]
    if not lines:
        raise HeadlinesError(f"{path} holds no headline; write one headline, or one JSON event, a line")
    read = _json_line if lines[0][1].startswith(b"{") else _plain_line
    headlines = []
    for number, line in lines:
        try:
            if len(line) > LINE_LIMIT_BYTES:
                raise ValueError(f"{len(line):,} bytes are too long for the demo's broker (limit {LINE_LIMIT_BYTES:,})")
            headlines.append(read(line, number))
        except (ValueError, UndecodableError) as error:
            raise HeadlinesError(f"{path}, line {number}: {error}") from None
    return headlines


def _plain_line(line: bytes, number: int) -> Headline:
    """A headline as text. Raises ValueError where it is not UTF-8."""
    try:
        title = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8; save the file as UTF-8") from None
    return Headline(f"line-{number}", {"title": title}, None, None)


def _json_line(line: bytes, number: int) -> Headline:
    """An event, or one of our own lines. Raises ValueError or UndecodableError where it is neither."""
    try:
        tree = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"not JSON: {error} (a file that starts with an object is read as JSON lines)") from None
    if isinstance(tree, dict) and not _OWN_FIELDS.isdisjoint(tree) and "title" not in tree:
        return _own_line(line, number)
    event = decode_raw_news(line)
    return Headline(event.id, tree, None, None)


def _own_line(line: bytes, number: int) -> Headline:
    """One of our own lines. Raises ValueError (msgspec's is one) where its fields do not make sense together."""
    own = msgspec.json.decode(line, type=_Line)
    if own.tombstone:
        return Headline(own.key or f"line-{number}", None, None, TOMBSTONE)
    if own.event is not msgspec.UNSET:
        payload = bytes(own.event)
    elif own.text is not None:
        payload = own.text.encode()
    elif own.base64 is not None:
        payload = own.base64
    else:
        raise ValueError('the line has none of "event", "text", "base64" and "tombstone", so there is nothing to send')
    name = own.key or f"line-{number}"
    if own.dead_letter is not None:
        return Headline(name, None, payload, own.dead_letter.value)
    event = decode_raw_news(payload)
    return Headline(event.id, msgspec.json.decode(payload), None, own.label, own.dirty)
