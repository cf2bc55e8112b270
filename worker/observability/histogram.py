"""A histogram that takes a batch's values in one call: the Prometheus client's own takes them one by one.

Of a large batch it looks at a few hundred, evenly spread, each of which stands for its neighbours: to look at each
would be felt in the loop. Another batch begins with another, so that what is rare, or comes in turns, is met as often
as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

MOST_LOOKED_AT = 256
_GOLDEN_RATIO = 0.618034  # its multiples spread evenly, however many there are, and fall in step with nothing


def looked_at(count: int, batch: int) -> slice:
    """Which of so many values are looked at in the `batch`-th batch: every k-th, from another one each time."""
    every = max(1, -(-count // MOST_LOOKED_AT))
    return slice(int(batch * _GOLDEN_RATIO % 1 * every), None, every)


class Histogram:
    """Counts by bucket, each bound belonging to the bucket that ends there, and the sum of all values.

    One thread at a time adds; others may read meanwhile, and then see the last batch in part at worst.

    >>> histogram = Histogram((1.0, 10.0))
    >>> histogram.add(np.array([0.5, 1.0, 7.0, 70.0]))
    >>> histogram.cumulative(), histogram.sum
    ([('1.0', 2.0), ('10.0', 3.0), ('+Inf', 4.0)], 78.5)
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self.sum = 0.0
        self._bounds = np.array(bounds)  # (buckets - 1,)
        self._names = [*map(str, bounds), "+Inf"]
        self._counts = np.zeros(len(bounds) + 1)  # (buckets,), whole numbers all the same
        self.batches = 0  # so many were added

    @property
    def bounds(self) -> NDArray[np.floating]:
        """Where the buckets end, but for the last, which has no end; shape (buckets - 1,)."""
        return self._bounds

    def counts(self) -> NDArray[np.floating]:
        """How many values each bucket has by now; shape (buckets,)."""
        return self._counts.copy()

    def add(self, values: NDArray[np.floating], count: int | None = None) -> None:
        """Count a batch's values, none of them NaN: as so many, where these are but some of them."""
        self.batches += 1
        some = values[looked_at(len(values), self.batches)]  # (k,)
        count = len(values) if count is None else count
        if not len(some) or not count:
            return
        each, more = divmod(count, len(some))
        stands_for = np.full(len(some), float(each))  # (k,)
        stands_for[:more] += 1.0
        places = self._bounds.searchsorted(some)  # (k,)
        self._counts += np.bincount(places, stands_for, minlength=len(self._counts))  # (buckets,)
        self.sum += float(some @ stands_for)

    def add_one(self, value: float) -> None:
        """Count one."""
        self._counts[self._bounds.searchsorted(value)] += 1
        self.sum += value

    def cumulative(self) -> list[tuple[str, float]]:
        """What Prometheus wants of it: for each bound, how many values are no larger."""
        return list(zip(self._names, accumulate(self._counts.tolist()), strict=True))


def quantile(bounds: NDArray[np.floating], counts: NDArray[np.floating], share: float) -> float | None:
    """The value below which that share of the counted ones lies, by the line through its bucket; None of no values.

    Counts by bucket, shape (buckets,). As Prometheus' histogram_quantile has it: the first bucket begins at 0, and of
    the last, which has no end, its beginning is told.

    >>> quantile(np.array([1.0, 10.0]), np.array([10, 10, 0]), 0.75)
    5.5
    """
    total = float(counts.sum())
    if total <= 0:
        return None
    cumulative = np.cumsum(counts)  # (buckets,)
    place = int(np.searchsorted(cumulative, share * total))
    if place >= len(bounds):
        return float(bounds[-1])
    low, high = (bounds[place - 1] if place else 0.0), bounds[place]
    below = float(cumulative[place - 1]) if place else 0.0
    return float(low + (high - low) * (share * total - below) / float(counts[place]))
