"""Two models on the same texts: is the one better than the other, or was it luck?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kuaixun.trainer.evaluation.bootstrap import Interval, resampled_intervals
from kuaixun.trainer.evaluation.confusion import Confusion


@dataclass(frozen=True, slots=True)
class Comparison:
    """`model` against `reference`; differences are model minus reference, with intervals of paired resamples.

    `mcnemar_p` is the probability of texts that only one of the two gets right being shared out so unevenly, or more
    so, between equally good models.
    """

    model: str
    reference: str
    accuracy_difference: float
    accuracy_interval: Interval
    macro_f1_difference: float
    macro_f1_interval: Interval
    only_model_right: int
    only_reference_right: int
    mcnemar_p: float


def compare(
    names: tuple[str, str],
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    reference: NDArray[np.int64],
    classes: int,
    *,
    seed: int,
) -> Comparison:
    """Compare `predicted` (n,) with the predictions of a `reference` (n,), both negative where there is no label.

    Each resample draws the same texts for both, so that texts which are hard for both do not widen the interval.
    """
    said = np.stack([truth, np.where(predicted < 0, classes, predicted), np.where(reference < 0, classes, reference)])
    kinds, counts = np.unique(said, axis=1, return_counts=True)  # (3, kinds), (kinds,)

    def differences(drawn: NDArray[np.int64]) -> tuple[float, float]:
        one, other = (Confusion(kinds[0], kinds[row], drawn, classes) for row in (1, 2))
        return one.accuracy() - other.accuracy(), one.macro_f1() - other.macro_f1()

    accuracy, macro_f1 = differences(counts)
    accuracy_interval, macro_f1_interval = resampled_intervals(counts, differences, seed)
    ours, theirs = predicted == truth, reference == truth
    only_ours, only_theirs = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    return Comparison(
        model=names[0],
        reference=names[1],
        accuracy_difference=accuracy,
        accuracy_interval=accuracy_interval,
        macro_f1_difference=macro_f1,
        macro_f1_interval=macro_f1_interval,
        only_model_right=only_ours,
        only_reference_right=only_theirs,
        mcnemar_p=mcnemar_p(only_ours, only_theirs),
    )


def mcnemar_p(one: int, other: int) -> float:
    """McNemar's test in its exact, two-sided form: a fair coin thrown for each text that only one gets right.

    Source: McNemar 1947, Note on the sampling error of the difference between correlated proportions or percentages.

    >>> round(mcnemar_p(1, 5), 12)
    0.21875
    """
    throws, fewer = one + other, min(one, other)
    heads = np.arange(fewer, 0, -1)
    # Each binomial coefficient of the tail, from the largest down, in parts of the largest: heads / (tails + 1) of the
    # one before. Factorials in logarithms, because coefficients of many thousand digits take minutes to add up.
    tail = 1.0 + float(np.cumprod(heads / (throws - heads + 1)).sum())
    largest = math.lgamma(throws + 1) - math.lgamma(fewer + 1) - math.lgamma(throws - fewer + 1)
    return min(1.0, 2 * tail * math.exp(largest - throws * math.log(2)))
