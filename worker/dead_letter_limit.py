"""Too many dead letters at once: bad data comes singly, a bad deploy of a producer or of this worker comes all at once.

Beside the second half of the headline's journey: every batch is looked at once it is confirmed. Past a limit the worker
is asked to stop, in order, so that what became a dead letter is committed and the rest is left as it is on the topic.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from kuaixun.worker.errors import DeadLetterLimitError
from kuaixun.worker.outcomes import Outcome, Outcomes
from kuaixun.worker.records import Record
from kuaixun.worker.stop import Stop

LOG = logging.getLogger(__name__)

NEAR = 0.8  # of a limit
FELT = 0.01  # of the last headlines: the alert KuaixunDeadLetters
LEAST_RECORDS = 1000  # or the window, where it is smaller: a share of fewer is chance
MOST_COUNTS = 1000  # that the window is kept in: each its records, and the dead letters among them


@dataclass(frozen=True, slots=True)
class Limits:
    """What is too many. `ratio`: the share of the last `window` records, 1 for no limit. `in_a_row`: 0 for no limit."""

    ratio: float
    window: int
    in_a_row: int


class DeadLetterLimit:
    """An Observer that asks for a stop, and then has the reason in `error`; `in_a_row` is the run that lasts.

    `run_reached` is the run that `error` speaks of, 0 where it speaks of the ratio.

    The window is counted in records, in whole batches: the fewest of the last ones that hold as many. Until so many
    have come the ratio says nothing. Small batches count as one until they hold a thousandth of the window together, so
    that it takes no more memory where a million come one by one.
    """

    def __init__(self, limits: Limits, stop: Stop) -> None:
        self.error: DeadLetterLimitError | None = None
        self.limits, self._stop = limits, stop
        self._window: deque[tuple[int, int]] = deque()
        self._records = self._dead = 0
        self.in_a_row = self.run_reached = 0
        self._warned = self._told = False

    @property
    def is_near(self) -> bool:
        """Whether the window, filled, or the run that lasts is NEAR a limit. For any thread."""
        limits = self.limits
        by_ratio = limits.ratio < 1 and self._records >= limits.window and self.ratio > NEAR * limits.ratio
        return by_ratio or self.is_run_near

    @property
    def is_run_near(self) -> bool:
        """Whether it is the run that is NEAR its limit. For any thread."""
        return self.in_a_row > NEAR * self.limits.in_a_row > 0

    @property
    def is_felt(self) -> bool:
        """Whether dead letters are more than a few bad headlines, well within the limits as they may be."""
        return self.ratio > FELT and self._records >= min(LEAST_RECORDS, self.limits.window)

    @property
    def ratio(self) -> float:
        """The share of dead letters in the window, as far as it is filled. For any thread."""
        return self._dead / self._records if self._records else 0.0

    def __call__(self, records: Sequence[Record], outcomes: Sequence[Outcome]) -> None:
        """Look at a batch that is confirmed. See Observer."""
        dead = dict(Outcomes.of(outcomes).dead_letters())
        dead_at = list(dead)
        self._count(len(outcomes), len(dead_at))
        longest = self._longest_run(dead_at, len(outcomes))
        self._warn()
        if self.error is not None or not dead_at:
            return
        limits, found = self.limits, ""
        if limits.in_a_row and longest >= limits.in_a_row:
            self.run_reached = longest
            found = f"{longest:,} records in a row, the limit (KUAIXUN_DEAD_LETTERS_IN_A_ROW) is {limits.in_a_row:,}"
        elif self._records >= limits.window and self._dead > limits.ratio * self._records:
            found = (
                f"{self._dead:,} of the last {self._records:,} records, more than the share of {limits.ratio:g} "
                "(KUAIXUN_DEAD_LETTER_RATIO)"
            )
        if found:
            letter = dead[dead_at[-1]]
            self.error = DeadLetterLimitError(
                f"Too many dead letters: {found}. The last, {letter.topic}[{letter.partition}]@{letter.offset}, is "
                f"{letter.reason}: {letter.message}. They are written and committed, and what follows is not read. See "
                "whether the producers, the bundle or this worker changed; raise the limit to go on all the same."
            )
            self._stop.request()

    def _warn(self) -> None:
        """Once for each time that they are felt, and that the limit comes near."""
        if self.is_felt and not self._told:
            LOG.warning(
                "%.1f %% of the last %d records became dead letters; their headers say why",
                *(100 * self.ratio, self._records),
                extra={"dead_letter_ratio": self.ratio},
            )
        # Not told again before it was well over.
        self._told = self.is_felt or (self._told and self.ratio > FELT / 2)
        is_near = self.is_near
        if is_near and not self._warned:
            LOG.warning(
                "dead letters come near the limit that stops this worker: %d in a row, %.1f %% of the last %d records",
                *(self.in_a_row, 100 * self.ratio, self._records),
                extra={"dead_letters_in_a_row": self.in_a_row, "dead_letter_ratio": self.ratio},
            )
        self._warned = is_near

    def _count(self, records: int, dead: int) -> None:
        last = self._window[-1] if self._window else None
        if last is not None and last[0] + records <= self.limits.window / MOST_COUNTS:
            self._window[-1] = (last[0] + records, last[1] + dead)
        else:
            self._window.append((records, dead))
        self._records, self._dead = self._records + records, self._dead + dead
        while self._records - self._window[0][0] >= self.limits.window:
            gone, gone_dead = self._window.popleft()
            self._records, self._dead = self._records - gone, self._dead - gone_dead

    def _longest_run(self, dead_at: Sequence[int], count: int) -> int:
        """The longest run of dead letters that this batch has, the one that it goes on with included."""
        longest, run, next_index = 0, self.in_a_row, 0
        for index in dead_at:
            run = run + 1 if index == next_index else 1
            longest, next_index = max(longest, run), index + 1
        self.in_a_row = run if next_index == count else 0
        return longest
