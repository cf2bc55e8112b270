"""What becomes of a record: it is labelled, or a dead letter says why not, or there was nothing in it to label.

Between the middle of a headline's journey, which says so, and its last station, which writes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import TypeAlias, overload

import msgspec

from kuaixun.schemas.dead_letter import DeadLetter, DeadLetterReason


class Labelled(msgspec.Struct, frozen=True, gc=False):
    """The headline has a label; `value` is the event on the wire, a LabelledNews."""

    value: bytes


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """The headline cannot be labelled."""

    letter: DeadLetter


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The record had no value; it is passed on without one."""


Outcome: TypeAlias = Labelled | DeadLettered | Tombstone
TOMBSTONE = Tombstone()


@dataclass(slots=True)
class Outcomes(Sequence[Outcome]):
    """A batch's outcomes in the order of its records, as most of them are: labelled, and so a column of events.

    `values` has None where something else has become of the record, which `others` has by its row.
    """

    values: list[bytes | None] = field(default_factory=list)
    others: dict[int, DeadLettered | Tombstone] = field(default_factory=dict)

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> Outcomes:
        """These, as they are or as columns."""
        if isinstance(outcomes, Outcomes):
            return outcomes
        return cls(
            [outcome.value if isinstance(outcome, Labelled) else None for outcome in outcomes],
            {row: outcome for row, outcome in enumerate(outcomes) if not isinstance(outcome, Labelled)},
        )

    def copy(self) -> Outcomes:
        """The same for now, whatever becomes of either."""
        return Outcomes([*self.values], {**self.others})

    def where(self, kept: Sequence[bool]) -> Outcomes:
        """Those for which this is true."""
        return Outcomes.of(list(compress(self, kept)))

    def dead_letters(self) -> Iterator[tuple[int, DeadLetter]]:
        """Those that are, in order, each with its row."""
        for row, outcome in sorted(self.others.items(), key=lambda other: other[0]):
            if isinstance(outcome, DeadLettered):
                yield row, outcome.letter

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[Outcome]:
        return map(self._of_row, range(len(self)))

    @overload
    def __getitem__(self, row: int) -> Outcome: ...

    @overload
    def __getitem__(self, row: slice) -> Outcomes: ...

    def __getitem__(self, row: int | slice) -> Outcome | Outcomes:
        if isinstance(row, int):
            return self._of_row(range(len(self))[row])
        rows = range(len(self))[row] if self.others else ()
        others = {place: self.others[one] for place, one in enumerate(rows) if one in self.others}
        return Outcomes(self.values[row], others)

    def __setitem__(self, row: int, outcome: Outcome) -> None:
        row = range(len(self))[row]
        self.others.pop(row, None)
        self.values[row] = None
        if isinstance(outcome, Labelled):
            self.values[row] = outcome.value
        else:
            self.others[row] = outcome

    def _of_row(self, row: int) -> Outcome:
        value = self.values[row]
        return Labelled(value) if value is not None else self.others[row]


@dataclass(slots=True, kw_only=True)
class OutcomeCounts:
    """What records have become. Outcomes count once they are confirmed, or committed."""

    labelled: int = 0
    tombstones: int = 0
    dead_lettered: Counter[DeadLetterReason] = field(default_factory=Counter)

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Count a batch's outcomes."""
        batch = Outcomes.of(outcomes)
        self.labelled += len(batch) - len(batch.others)
        for other in batch.others.values():
            if isinstance(other, DeadLettered):
                self.dead_lettered[other.letter.reason] += 1
            else:
                self.tombstones += 1
