"""What is written in the place of an outcome that the broker does not take, rung by rung.

the outcome → a dead letter with the record whole → the same, cut → nothing: the worker stops
"""

from __future__ import annotations

from kuaixun.schemas.dead_letter import DeadLetter, DeadLetterReason
from kuaixun.worker.errors import DeliveryFailedError
from kuaixun.worker.labelling import DeadLettered, Labelled, Outcome, Tombstone, dead_letter
from kuaixun.worker.routing import cut_in_half
from kuaixun.worker.streams import Record, RefusedError, TooLargeError


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
    if not letter.value:
        raise DeliveryFailedError(
            f"{where} is too large even without its value, for its key and headers alone. Nothing is committed past "
            "it. Raise max.message.bytes of the dead-letter topic and message.max.bytes in KUAIXUN_PRODUCER, and "
            "restart."
        )
    return cut_in_half(letter)
