"""The last minutes, second by second: differences of what `observability` counts without end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from kuaixun.worker.observability.figures import Figures
from kuaixun.worker.observability.histogram import quantile
from kuaixun.worker.witness import Parts

SECONDS = 300
SECONDS_OF_NOW = 5


@dataclass(frozen=True, slots=True)
class Sample:
    """All counts at one moment; `at` in seconds since 1970, `settled` of whatever became of them."""

    at: float
    settled: int
    by_label: Mapping[str, int]
    latencies: NDArray[np.floating]  # (buckets,)
    lag: int


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Columns of equal length, oldest first. Of a second in which nothing was confirmed there is no latency."""

    at: list[float]
    per_second: list[float]
    p50_ms: list[float | None]
    p99_ms: list[float | None]
    lag: list[int]
    by_label: list[list[float]]  # (classes, seconds)


class Now(msgspec.Struct, frozen=True, kw_only=True):
    """The last seconds taken together; where nothing was confirmed in them there is no latency."""

    per_second: float
    p50_ms: float | None
    p99_ms: float | None


class Seconds:
    """Takes a sample each second in which the loop turns, and keeps those of the last minutes.

    The loop's thread calls `turned`; anybody may ask for `columns` and `now`. `monotonic` and `wall` are clocks in
    seconds.
    """

    def __init__(
        self,
        figures: Figures,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._figures, self._monotonic, self._wall = figures, monotonic, wall
        self._samples: deque[Sample] = deque(maxlen=SECONDS + 1)
        self._next_at = 0.0

    def turned(self) -> None:
        """The loop has turned."""
        now = self._monotonic()
        if now < self._next_at:
            return
        # From when it was due, so that being late does not add up, unless the loop stood still.
        self._next_at = max(self._next_at + 1.0, now + 0.5)
        figures = self._figures
        self._samples.append(
            Sample(
                at=self._wall(),
                settled=_settled(figures.parts),
                by_label=figures.model.by_label(),
                latencies=figures.end_to_end.counts(),
                lag=figures.lag,
            )
        )

    def now(self) -> Now:
        """What went by in the last SECONDS_OF_NOW, or in what there is of them."""
        # One a second; a loop that stands still takes none, and what went by before is not now.
        since = self._wall() - SECONDS_OF_NOW - 1.5
        samples = [sample for sample in tuple(self._samples)[-SECONDS_OF_NOW - 1 :] if sample.at >= since]
        if not samples:
            return Now(per_second=0.0, p50_ms=None, p99_ms=None)
        before, after = samples[0], samples[-1]
        latencies = after.latencies - before.latencies
        return Now(
            per_second=_rate(after.settled - before.settled, after.at - before.at),
            p50_ms=self._quantile_ms(latencies, 0.5),
            p99_ms=self._quantile_ms(latencies, 0.99),
        )

    def columns(self, labels: tuple[str, ...]) -> History:
        """What went by between each sample and the next."""
        pairs = list(pairwise(tuple(self._samples)))
        seconds = [after.at - before.at for before, after in pairs]
        counts = [
            [after.by_label.get(label, 0) - before.by_label.get(label, 0) for before, after in pairs]
            for label in labels
        ]
        latencies = [after.latencies - before.latencies for before, after in pairs]
        return History(
            at=[round(after.at, 1) for _, after in pairs],
            per_second=[
                _rate(after.settled - before.settled, took)
                for (before, after), took in zip(pairs, seconds, strict=True)
            ],
            p50_ms=[self._quantile_ms(found, 0.5) for found in latencies],
            p99_ms=[self._quantile_ms(found, 0.99) for found in latencies],
            lag=[after.lag for _, after in pairs],
            by_label=[[_rate(n, took) for n, took in zip(row, seconds, strict=True)] for row in counts],
        )

    def _quantile_ms(self, counts: NDArray[np.floating], share: float) -> float | None:
        seconds = quantile(self._figures.end_to_end.bounds, counts, share)
        return None if seconds is None else round(1000 * seconds, 2)


def _settled(parts: Parts | None) -> int:
    if parts is None:
        return 0
    counts = parts.delivery.counts
    return counts.labelled + counts.dead_lettered.total() + counts.tombstones


def _rate(count: int, seconds: float) -> float:
    """A second; clocks may be set back, and then there is none."""
    return round(max(0, count) / seconds, 2) if seconds > 0 else 0.0
