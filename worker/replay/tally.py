"""What a replay has done, counted: every letter that was read stands in exactly one of these figures."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

from kuaixun.worker.outcomes import OutcomeCounts
from kuaixun.worker.replay.selection import Passed

_WORDS = {
    Passed.DEALT_WITH_BEFORE: "dealt with by an earlier replay",
    Passed.REPEATED: "a letter of the same record stands before it",
    Passed.NOT_ASKED_FOR: "of another reason or time",
    Passed.EXHAUSTED: "replayed too often already (--max-replays)",
    Passed.CUT: "refused: a part of the record is missing",
    Passed.UNREADABLE: "refused: no dead letter of a kuaixun worker",
    Passed.OF_ANOTHER_TOPIC: "of another input topic",
}


@dataclass(slots=True, kw_only=True)
class Tally(OutcomeCounts):
    """`complete`: the end that was seen at the start is reached. `dry_run`: nothing was written."""

    dry_run: bool
    read: int = 0
    passed: Counter[Passed] = field(default_factory=Counter)
    complete: bool = False

    @property
    def replayed(self) -> int:
        """How many letters went through the classifier again."""
        return self.labelled + self.tombstones + self.dead_lettered.total()

    def as_json(self) -> str:
        """One line for programs. Every kind of letter passed over is there, at 0 too."""
        return json.dumps(
            {
                "read": self.read,
                "replayed": self.replayed,
                "labelled": self.labelled,
                "tombstones": self.tombstones,
                "dead_lettered": self.dead_lettered.total(),
                "dead_lettered_by_reason": dict(sorted(self.dead_lettered.items())),
                **{kind.value: self.passed[kind] for kind in Passed},
                "dry_run": self.dry_run,
                "complete": self.complete,
            }
        )

    def lines(self) -> list[str]:
        """The same for people; what did not occur is left out."""
        again = ", ".join(f"{count} {reason}" for reason, count in sorted(self.dead_lettered.items()))
        figures = [
            (self.read, "read"),
            (self.labelled, "labelled"),
            (self.tombstones, "passed on as tombstones"),
            (self.dead_lettered.total(), f"dead letters again: {again}"),
            *((self.passed[kind], _WORDS[kind]) for kind in Passed),
        ]
        lines = [f"{count:>9,}  {words}" for count, words in figures if count or words == "read"]
        if self.dry_run:
            lines.append("a dry run: nothing was written, and all of it can still be replayed")
        return lines
