"""How far a figure would have moved had other texts of the same kind been drawn: percentile intervals.

Source: Efron 1979, Bootstrap Methods: Another Look at the Jackknife; the percentile interval after Efron and Tibshirani
1993, An Introduction to the Bootstrap, section 13.3. Texts are drawn anew, as many as there are, with replacement.
Figures depend on the counts of (true, predicted) pairs alone, and drawing texts is drawing such counts from a
multinomial distribution, so no text is touched again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kuaixun.trainer.evaluation.confusion import Confusion

RESAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the middle 95 % of the resampled figures lie."""

    low: float
    high: float


def intervals(confusion: Confusion, seed: int) -> tuple[Interval, Interval]:
    """Of accuracy and of macro F1."""

    def figures(counts: NDArray[np.int64]) -> tuple[float, float]:
        drawn = replace(confusion, counts=counts)
        return drawn.accuracy(), drawn.macro_f1()

    accuracy, macro_f1 = resampled_intervals(confusion.counts, figures, seed)
    return accuracy, macro_f1


def resampled_intervals(
    counts: NDArray[np.int64], figures: Callable[[NDArray[np.int64]], tuple[float, ...]], seed: int
) -> tuple[Interval, ...]:
    """An interval of each of the figures that follow from `counts` (kinds,) of kinds of texts."""
    texts = int(counts.sum())
    chance = np.random.default_rng(seed)
    drawn = (chance.multinomial(texts, counts / texts) for _ in range(RESAMPLES))
    found = np.array([figures(one) for one in drawn])  # (resamples, figures)
    tail = (1 - LEVEL) / 2
    return tuple(Interval(float(low), float(high)) for low, high in np.quantile(found, [tail, 1 - tail], axis=0).T)
