"""The record that a dead letter was made of, made again, and what becomes of it at the second attempt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import msgspec

from kuaixun.schemas.dead_letter import DeadLetter
from kuaixun.worker.delivery.refusals import instead
from kuaixun.worker.outcomes import DeadLettered, Outcome
from kuaixun.worker.records import Record
from kuaixun.worker.streams import RefusedError


@dataclass(frozen=True, slots=True)
class Restored:
    """`record` is the original with its own topic, partition and offset, for that is what an outcome tells of."""

    record: Record
    failed_replays: int

    @classmethod
    def of(cls, letter: DeadLetter, timestamp_ms: int | None) -> Self:
        """The record of a letter; the letter carried its timestamp."""
        record = Record(
            topic=letter.topic,
            partition=letter.partition,
            offset=letter.offset,
            key=letter.key,
            value=letter.value,
            headers=letter.headers,
            timestamp_ms=timestamp_ms,
        )
        return cls(record, letter.failed_replays)

    def counted(self, outcome: Outcome) -> Outcome:
        """An outcome which, if it is a dead letter again, says how often it was replayed in vain."""
        if not isinstance(outcome, DeadLettered):
            return outcome
        return DeadLettered(msgspec.structs.replace(outcome.letter, failed_replays=self.failed_replays + 1))

    def instead(self, outcome: Outcome, refused: RefusedError, worker_version: str) -> Outcome:
        """What is written in the place of an outcome that the broker does not take; see refusals.py."""
        return self.counted(instead(self.record, outcome, refused, worker_version))
