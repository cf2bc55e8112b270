"""Which dead letters a replay is for, and what becomes of each one that is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from kuaixun.schemas.dead_letter import DeadLetter, DeadLetterReason
from kuaixun.worker.records import Record
from kuaixun.worker.replay.progress import Progress

MAX_REPLAYS = 3


class Passed(StrEnum):
    """Why a letter is passed over."""

    DEALT_WITH_BEFORE = "dealt_with_before"
    """An earlier replay has labelled it, written it anew as a dead letter, or refused it."""
    REPEATED = "repeated"
    """The same record's letter stood on the topic before: the worker was restarted between writing and committing."""
    NOT_ASKED_FOR = "not_asked_for"
    """Of another reason or time."""
    EXHAUSTED = "exhausted"
    """Replayed in vain as often as `--max-replays` allows."""
    CUT = "cut"
    """Refused: a part of the record is missing, and a label of the rest would be a label of something else."""
    UNREADABLE = "unreadable"
    """Refused: no worker of this version or an earlier one wrote it."""
    OF_ANOTHER_TOPIC = "of_another_topic"
    """Its record was read from a topic that is not this worker's input."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What the operator asks for. Times in milliseconds of the epoch: from the first up to but without the second."""

    reasons: frozenset[DeadLetterReason] = frozenset(DeadLetterReason)
    since_ms: int | None = None
    until_ms: int | None = None
    max_replays: int = MAX_REPLAYS

    def takes_time(self, timestamp_ms: int | None) -> bool:
        """Whether a letter is of the time asked for; one without a timestamp is of no time."""
        if self.since_ms is None and self.until_ms is None:
            return True
        if timestamp_ms is None or (self.since_ms is not None and timestamp_ms < self.since_ms):
            return False
        return self.until_ms is None or timestamp_ms < self.until_ms


@dataclass(frozen=True, slots=True)
class Request:
    """What to replay and how: `letters_per_second` None is as fast as it goes, `dry_run` writes nothing."""

    selection: Selection = field(default_factory=Selection)
    letters_per_second: float | None = None
    dry_run: bool = False


class Sorting:
    """Sorts the letters of one run: what is to be replayed, and why what is not is passed over."""

    def __init__(self, selection: Selection, input_topic: str) -> None:
        self._selection, self._input_topic = selection, input_topic
        # By input partition and failed replays: where each offset's first letter stands. Some 100 bytes a letter.
        self._first_places: dict[tuple[int, int], dict[int, tuple[int, int]]] = {}

    def sort(self, record: Record, progress: Progress) -> DeadLetter | Passed:
        """The letter to be replayed, or why not. Notes in `progress` what is left for another replay."""
        if (letter := _read(record)) is None:
            return Passed.UNREADABLE
        if letter.topic != self._input_topic:
            return Passed.OF_ANOTHER_TOPIC
        if self._is_repeated(letter, record):
            return Passed.REPEATED
        asked, reason = self._selection, letter.reason
        if reason not in asked.reasons:
            return Passed.NOT_ASKED_FOR
        if progress.is_done(reason, record.offset):
            return Passed.DEALT_WITH_BEFORE
        if not asked.takes_time(record.timestamp_ms):
            progress.leave(reason, record.offset)
            return Passed.NOT_ASKED_FOR
        if not letter.whole:
            return Passed.CUT
        if letter.failed_replays >= asked.max_replays:
            progress.leave(reason, record.offset)
            return Passed.EXHAUSTED
        return letter

    def _is_repeated(self, letter: DeadLetter, record: Record) -> bool:
        place = record.partition, record.offset
        first_places = self._first_places.setdefault((letter.partition, letter.failed_replays), {})
        return first_places.setdefault(letter.offset, place) != place


def _read(record: Record) -> DeadLetter | None:
    if record.headers_unreadable:
        return None
    try:
        return DeadLetter.from_record(record.key, record.value, record.headers)
    except msgspec.ValidationError:
        return None
