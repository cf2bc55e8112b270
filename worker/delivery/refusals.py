"""What is written in the place of an outcome that the broker does not take, rung by rung.

the outcome → a dead letter with the record whole → the same, cut → nothing: the worker stops
"""

from __future__ import annotations

import msgspec

from kuaixun.schemas.dead_letter import DeadLetter, DeadLetterReason
from kuaixun.worker.errors import DeliveryFailedError
from kuaixun.worker.labelling import dead_letter
from kuaixun.worker.outcomes import DeadLettered, Labelled, Outcome, Tombstone
from kuaixun.worker.records import Record
from kuaixun.worker.streams import RefusedError, TooLargeError

# More than lengths, offsets and checksums take.
RECORD_FRAME_BYTES = 128
HEADER_FRAME_BYTES = 16


def instead(record: Record, outcome: Outcome, refused: RefusedError, worker_version: str) -> DeadLettered:
    """The next rung. Raises DeliveryFailedError below the last."""
    if isinstance(outcome, DeadLettered):
        return DeadLettered(_cut(outcome.letter, refused))
    return _refused_letter(record, outcome, refused, worker_version)


def _refused_letter(
    record: Record, outcome: Labelled | Tombstone, refused: RefusedError, worker_version: str
) -> DeadLettered:
    """The dead letter that takes a refused outcome's place."""
    what = "the tombstone"
    if isinstance(outcome, Labelled):
        what = f"the labelled event of {len(outcome.value):,} bytes"
    if isinstance(refused, TooLargeError):
        reason = DeadLetterReason.OUTPUT_TOO_LARGE
        message = f"{what}, key and headers not counted, is too large for the topic"
    else:
        reason = DeadLetterReason.OUTPUT_REFUSED
        message = f"the topic does not take {what}: {refused}"
    return dead_letter(record, reason, message, worker_version)


def _cut(letter: DeadLetter, refused: RefusedError) -> DeadLetter:
    """A refused dead letter made smaller. Raises DeliveryFailedError where that is of no use."""
    where = f"The dead letter of {letter.topic}[{letter.partition}]@{letter.offset}"
    if not isinstance(refused, TooLargeError):
        raise DeliveryFailedError(
            f"{where} is refused by the dead-letter topic: {refused}. Nothing is committed past it. Give that topic "
            "cleanup.policy=delete and limits for timestamps as wide as the input topic's, and restart."
        )
    replace = msgspec.structs.replace
    if letter.value:
        kept = letter.value[: _fitting(letter, letter.value, refused.limit_bytes)]
        return replace(letter, value=kept, value_bytes_cut=letter.value_bytes_cut + len(letter.value) - len(kept))
    if letter.headers:
        return replace(letter, headers=(), headers_cut=letter.headers_cut + len(letter.headers))
    if letter.key:
        kept = letter.key[: _fitting(letter, letter.key, refused.limit_bytes)]
        return replace(letter, key=kept, key_bytes_cut=letter.key_bytes_cut + len(letter.key) - len(kept))
    raise DeliveryFailedError(
        f"{where} is too large even with nothing of the record in it. Nothing is committed past it. Raise "
        "max.message.bytes of the dead-letter topic and message.max.bytes in KUAIXUN_PRODUCER, and restart."
    )


def _fitting(letter: DeadLetter, part: bytes, limit_bytes: int | None) -> int:
    """How many bytes of a part may stay: all but the surplus where the limit is known, else half."""
    half = len(part) // 2
    if limit_bytes is None:
        return half
    headers_bytes = sum(
        len(name.encode()) + len(content or b"") + HEADER_FRAME_BYTES for name, content in letter.to_headers()
    )
    size_bytes = len(letter.key or b"") + len(letter.value or b"") + headers_bytes + RECORD_FRAME_BYTES
    surplus_bytes = size_bytes - limit_bytes
    return max(0, len(part) - surplus_bytes) if surplus_bytes > 0 else half
