"""How much the loop takes at once, and for how long it waits for it: the first step of a headline's journey.

Whatever has come while the last batch was at work is the next batch. Under light load that is a headline or two, which
wait for nobody; the heavier the load, the more have come. Waiting for more beyond that only pays for what a turn costs
however little it carries, so it may double a turn's time and no more, and ends where there are enough to share that
cost. Where the engine is slow, a batch ends where it would take longer than the target, those excepted that were begun
with before.
"""

from __future__ import annotations

from kuaixun.worker.delivery.promise import Pace

WEIGHT_OF_THE_LAST = 0.2
# What a turn costs however little it carries, a third of a millisecond, is half of what so many cost. Measured at half
# of what a worker can do, of 16 to 4,096: to wait for more makes it later than it saves.
ENOUGH = 128


class Gathering:
    """Told of each turn that had records, says what the next one is to take."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._last_turn_seconds = 0.0
        self._seconds_per_record = 0.0

    @property
    def max_records(self) -> int:
        """No more than the target allows at the pace of the last turns."""
        if not self._seconds_per_record:
            return self._pace.max_batch
        return max(1, min(self._pace.max_batch, int(self._pace.latency_target_seconds / self._seconds_per_record)))

    @property
    def max_delay_seconds(self) -> float:
        """No longer than the last turn took."""
        return min(self._pace.max_delay_seconds, self._last_turn_seconds)

    def took(self, records: int, seconds: float) -> None:
        """A turn labelled and sent so many in so long."""
        self._last_turn_seconds = seconds
        each = seconds / records
        before = self._seconds_per_record or each
        self._seconds_per_record = before + WEIGHT_OF_THE_LAST * (each - before)
