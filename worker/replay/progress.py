"""Which dead letters earlier replays have dealt with: what makes a replay that is run twice label nothing twice.

A dead letter's only name that never changes is its place on the dead-letter topic. A replay of some reasons or times
leaves others between them for a later one, so a single offset does not tell: for each reason there is a set of offsets,
which stays a few ranges, for places of other reasons count as either. They are committed as one offset, below which
nothing is left to do, and a note with the ranges above it:

    offset 7, note "empty_title=5-20 invalid_json=0-9,12-20"     ranges from the offset, the ends not included
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from kuaixun.schemas.dead_letter import DeadLetterReason
from kuaixun.worker.errors import SettingError
from kuaixun.worker.records import Partition
from kuaixun.worker.streams import Mark

NOTE_LIMIT_BYTES = 4096  # Kafka's own for what goes with an offset, offset.metadata.max.bytes


class OffsetRanges:
    """A set of offsets, as ranges in ascending order that do not touch."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._ranges: list[tuple[int, int]] = []
        for start, end in ranges:
            self.add(start, end)

    def __contains__(self, offset: int) -> bool:
        at = bisect_right(self._ranges, offset, key=lambda one: one[0])
        return at > 0 and offset < self._ranges[at - 1][1]

    def add(self, start: int, end: int) -> None:
        """Add the offsets from `start` up to but without `end`.

        >>> ranges = OffsetRanges([(0, 3), (8, 9)])
        >>> ranges.add(3, 5)
        >>> ranges.above(2)
        [(2, 5), (8, 9)]
        """
        if start >= end:
            return
        touching = [one for one in self._ranges if one[0] <= end and start <= one[1]]
        apart = [one for one in self._ranges if not (one[0] <= end and start <= one[1])]
        joined = (min([start, *(one[0] for one in touching)]), max([end, *(one[1] for one in touching)]))
        self._ranges = sorted([*apart, joined])

    def first_missing(self, start: int) -> int:
        """The first offset from `start` on that is not in the set."""
        return next((end for first, end in self._ranges if first <= start < end), start)

    def above(self, offset: int) -> list[tuple[int, int]]:
        """The ranges from an offset on."""
        return [(max(start, offset), end) for start, end in self._ranges if end > offset]


class Progress:
    """One partition of dead letters, read from its first offset on by a replay of some reasons."""

    def __init__(self, partition: Partition, offsets: range, mark: Mark | None, reasons: Iterable[DeadLetterReason]):
        self._partition, self._first = partition, offsets.start
        self._done = {reason: OffsetRanges() for reason in DeadLetterReason}
        if mark is not None and mark.offset <= offsets.stop:
            self._read(mark)
        # For each reason asked for: from where on nothing is noted yet.
        self._noted_to = dict.fromkeys(reasons, offsets.start)

    def is_done(self, reason: DeadLetterReason, offset: int) -> bool:
        """Whether an earlier replay has dealt with the letter of this reason at this place."""
        return offset in self._done[reason]

    def leave(self, reason: DeadLetterReason, offset: int) -> None:
        """The letter at this place, of a reason asked for, is left to a later replay. In ascending order."""
        self._done[reason].add(self._noted_to[reason], offset)
        self._noted_to[reason] = offset + 1

    def mark(self, position: int) -> Mark:
        """What to commit once all letters before `position` are dealt with, but for those left and not asked for.

        Raises SettingError where there are too many gaps to note.
        """
        for reason, noted_to in self._noted_to.items():
            self._done[reason].add(noted_to, position)
            self._noted_to[reason] = max(noted_to, position)
        offset = min(done.first_missing(self._first) for done in self._done.values())
        noted = {reason: done.above(offset) for reason, done in self._done.items()}
        note = " ".join(
            f"{reason}={','.join(f'{start - offset}-{end - offset}' for start, end in ranges)}"
            for reason, ranges in noted.items()
            if ranges
        )
        if len(note) > NOTE_LIMIT_BYTES:
            raise SettingError(
                f"What this replay leaves out of {self._partition} are too many single letters to remember (Kafka "
                f"keeps {NOTE_LIMIT_BYTES} bytes for it). What is done is committed. Ask for a wider time or a higher "
                "--max-replays."
            )
        return Mark(offset, note)

    def _read(self, mark: Mark) -> None:
        try:
            noted = dict(part.split("=") for part in mark.note.split())
            for reason, ranges in noted.items():
                for one in ranges.split(","):
                    start, end = one.split("-")
                    self._done[DeadLetterReason(reason)].add(mark.offset + int(start), mark.offset + int(end))
        except ValueError:
            raise SettingError(
                f"The group of this replay has a committed offset of {self._partition} that no replay wrote, or that "
                "of a newer version. Another consumer may use the same group: choose another KUAIXUN_GROUP_ID."
            ) from None
        for done in self._done.values():
            done.add(0, mark.offset)
