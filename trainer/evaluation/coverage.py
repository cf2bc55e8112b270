"""What a confidence threshold costs and buys: the worker abstains below it.

A text is answered where its confidence is at least the threshold. A higher one answers fewer texts, and of those more
are right, if the confidences mean anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEVER_ANSWERED = -1.0  # in place of a confidence, where there is no label
THRESHOLDS = tuple(round(0.01 * step, 2) for step in range(101))


@dataclass(frozen=True, slots=True)
class CoveragePoint:
    """At `threshold`, the share of all texts that are `answered`, and the accuracy on those (None: there are none)."""

    threshold: float
    answered: float
    accuracy: float | None


def coverage_curve(right: NDArray[np.bool_], confidences: NDArray[np.float64]) -> tuple[CoveragePoint, ...]:
    """A point each hundredth from 0 to 1, from `right` (n,) and `confidences` (n,) or NEVER_ANSWERED."""
    ascending = np.argsort(confidences, kind="stable")  # (n,)
    right_from = np.append(right[ascending][::-1].cumsum()[::-1], 0)  # (n + 1,) right ones from this place on
    starts = np.searchsorted(confidences[ascending], THRESHOLDS, side="left")  # (thresholds,)
    return tuple(
        _point(threshold, int(right_from[start]), len(right) - int(start), len(right))
        for threshold, start in zip(THRESHOLDS, starts, strict=True)
    )


def threshold_for(
    right: NDArray[np.bool_], confidences: NDArray[np.float64], target_accuracy: float
) -> CoveragePoint | None:
    """The lowest threshold at which the answered texts reach the accuracy wanted; None where none does."""
    descending = np.argsort(-confidences, kind="stable")
    sorted_confidences = confidences[descending]  # (n,)
    hits = right[descending].cumsum()  # (n,)
    answered = np.arange(1, len(right) + 1)
    # A threshold answers all texts of one confidence or none of them, and no text without a label.
    possible = (np.diff(sorted_confidences, append=-np.inf) < 0) & (sorted_confidences >= 0)
    # The quotient, not target times answered: 0.55 of 100 would be a little more than 55.
    reached = np.flatnonzero(possible & (hits / answered >= target_accuracy))
    if not len(reached):
        return None
    last = int(reached[-1])
    return _point(float(sorted_confidences[last]), int(hits[last]), last + 1, len(right))


def _point(threshold: float, hits: int, answered: int, texts: int) -> CoveragePoint:
    return CoveragePoint(threshold, answered / texts, hits / answered if answered else None)
