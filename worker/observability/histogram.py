"""A histogram that takes a batch's values in one call: the Prometheus client's own takes them one by one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray


class Histogram:
    """Counts by bucket, each bound belonging to the bucket that ends there, and the sum of all values.

    One thread adds; others may read meanwhile, and then see the last batch in part at worst.

    >>> histogram = Histogram((1.0, 10.0))
    >>> histogram.add(np.array([0.5, 1.0, 7.0, 70.0]))
    >>> histogram.cumulative(), histogram.sum
    ([('1.0', 2.0), ('10.0', 3.0), ('+Inf', 4.0)], 78.5)
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self.sum = 0.0
        self._bounds = np.array(bounds)  # (buckets - 1,)
        self._names = [*map(str, bounds), "+Inf"]
        self._counts = np.zeros(len(bounds) + 1, np.int64)  # (buckets,)

    def add(self, values: NDArray[np.floating]) -> None:
        """Count a batch's values; none of them NaN."""
        self._counts += np.bincount(self._bounds.searchsorted(values), minlength=len(self._counts))  # (buckets,)
        self.sum += float(values.sum())

    def add_one(self, value: float) -> None:
        """Count one."""
        self._counts[self._bounds.searchsorted(value)] += 1
        self.sum += value

    def cumulative(self) -> list[tuple[str, float]]:
        """What Prometheus wants of it: for each bound, how many values are no larger."""
        return [
            (name, float(count)) for name, count in zip(self._names, accumulate(self._counts.tolist()), strict=True)
        ]
