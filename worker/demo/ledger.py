"""The demo's account of every headline: what was sent against what came back on the output topics.

It believes nothing that the worker says of itself; it reads the topics as any consumer would.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from kuaixun.worker.demo.headlines import TOMBSTONE, Headline


class Fate(StrEnum):
    """What became of a headline."""

    LABELLED = "labelled"
    DEAD_LETTERED = "dead_lettered"
    TOMBSTONE = TOMBSTONE


@dataclass(frozen=True, slots=True)
class Arrival:
    """One record of an output topic. `what` is the label or the dead-letter reason; `text` is for people to read."""

    key: str
    fate: Fate
    what: str
    text: str
    confidence: float = 0.0


class Ledger:
    """Counts outcomes per record. One byte a record is kept for good; the headlines only until they are back."""

    def __init__(self) -> None:
        self.outcomes: Counter[Fate] = Counter()
        self.labels: Counter[str] = Counter()
        self.judged: Counter[Fate] = Counter()
        self.agreed: Counter[Fate] = Counter()
        self.duplicated = 0
        self.unknown = 0
        self.outstanding_bytes = 0
        self._times_seen = bytearray()
        self._outstanding: dict[int, tuple[Headline, int]] = {}

    @property
    def sent(self) -> int:
        """Records put on the raw topic."""
        return len(self._times_seen)

    @property
    def outstanding(self) -> int:
        """Records without an arrival so far: once all is read, the lost ones."""
        return len(self._outstanding)

    @property
    def arrived(self) -> int:
        """Records with an arrival."""
        return self.outcomes.total()

    def send(self, headline: Headline) -> tuple[str, bytes | None]:
        """Enter the next record; its key and value."""
        sequence = self.sent
        key, value = headline.record(sequence)
        size_bytes = len(value or b"")
        self._times_seen.append(0)
        self._outstanding[sequence] = (headline, size_bytes)
        self.outstanding_bytes += size_bytes
        return key, value

    def receive(self, arrival: Arrival) -> bool:
        """Enter one record read back. False where it is no news: the second for its key, or for no key of ours."""
        sequence = self._sequence(arrival.key)
        if sequence is None:
            self.unknown += 1
            return False
        self._times_seen[sequence] = min(self._times_seen[sequence] + 1, 255)
        if self._times_seen[sequence] > 1:
            self.duplicated += 1
            return False
        headline, size_bytes = self._outstanding.pop(sequence)
        self.outstanding_bytes -= size_bytes
        self.outcomes[arrival.fate] += 1
        if arrival.fate is Fate.LABELLED:
            self.labels[arrival.what] += 1
        if headline.expected is not None:
            self.judged[arrival.fate] += 1
            self.agreed[arrival.fate] += arrival.what == headline.expected
        return True

    def _sequence(self, key: str) -> int | None:
        """The number of the record with this key, None where none was sent."""
        number = key.rpartition("@")[2]
        if number.isascii() and number.isdigit() and int(number) < self.sent:
            return int(number)
        return None
