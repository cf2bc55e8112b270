"""The headlines and dead letters that were confirmed last: a few of each, as references, until somebody looks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from kuaixun.schemas.dead_letter import DeadLetter
from kuaixun.schemas.events import LabelledNews
from kuaixun.worker.outcomes import Labelled, Outcome, Outcomes
from kuaixun.worker.records import Record

SHOWN_HEADLINES = 25
SHOWN_DEAD_LETTERS = 10
SHOWN_CHARACTERS = 400  # of a text that a producer sent, which may be long
_EVENTS = msgspec.json.Decoder(LabelledNews)


class Headline(msgspec.Struct, frozen=True, kw_only=True):
    """A labelled headline as the page shows it; `at` is when it was labelled, in seconds since 1970."""

    at: float
    title: str
    label: str
    confidence: float
    abstained: bool


class ShownDeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter as the page shows it: where its input stands, and why it was refused."""

    at: float
    reason: str
    message: str
    topic: str
    partition: int
    offset: int


class Latest:
    """Told of each confirmed batch by the loop's thread; anybody may read. `wall` tells seconds since 1970."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._labelled: deque[Labelled] = deque(maxlen=SHOWN_HEADLINES)
        self._dead: deque[ShownDeadLetter] = deque(maxlen=SHOWN_DEAD_LETTERS)

    def confirmed(self, _records: Sequence[Record], outcomes: Sequence[Outcome]) -> None:
        """A batch is confirmed. See Observer."""
        self._labelled.extend(outcome for outcome in outcomes[-SHOWN_HEADLINES:] if isinstance(outcome, Labelled))
        self._dead.extend(self._shown(letter) for _, letter in Outcomes.of(outcomes).dead_letters())

    def headlines(self) -> list[Headline]:
        """The last ones, newest first. One that cannot be read again is left out, and keeps nobody from the others."""
        shown = (_headline(outcome.value) for outcome in reversed(tuple(self._labelled)))
        return [headline for headline in shown if headline is not None]

    def dead_letters(self) -> list[ShownDeadLetter]:
        """The last ones, newest first."""
        return list(reversed(tuple(self._dead)))

    def _shown(self, letter: DeadLetter) -> ShownDeadLetter:
        return ShownDeadLetter(
            at=self._wall(),
            reason=letter.reason,
            message=letter.message[:SHOWN_CHARACTERS],
            topic=letter.topic,
            partition=letter.partition,
            offset=letter.offset,
        )


def _headline(value: bytes) -> Headline | None:
    try:
        event = _EVENTS.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return Headline(
        at=event.labelled_at.timestamp(),
        title=event.title[:SHOWN_CHARACTERS],
        label=event.label,
        confidence=event.confidence,
        abstained=event.abstained,
    )
