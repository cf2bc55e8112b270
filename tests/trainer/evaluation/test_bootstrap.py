"""Percentile intervals: as wide as the theory says, and as narrow as the evidence."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kuaixun.trainer.evaluation.bootstrap import intervals
from kuaixun.trainer.evaluation.confusion import Confusion


def confusion(right: int, wrong: int) -> Confusion:
    truth = np.zeros(right + wrong, dtype=np.int64)
    return Confusion.of(truth, np.repeat([0, 1], [right, wrong]), classes=2)


def test_an_accuracys_interval_is_that_of_the_binomial_distribution() -> None:
    accuracy, _ = intervals(confusion(9200, 800), seed=0)

    half = 1.96 * math.sqrt(0.92 * 0.08 / 10_000)
    assert accuracy.low == pytest.approx(0.92 - half, abs=0.0008)
    assert accuracy.high == pytest.approx(0.92 + half, abs=0.0008)


def test_more_texts_narrow_it() -> None:
    few, _ = intervals(confusion(92, 8), seed=0)
    many, _ = intervals(confusion(9200, 800), seed=0)

    assert many.high - many.low < (few.high - few.low) / 5


def test_of_answers_that_are_all_right_every_resample_is() -> None:
    accuracy, macro_f1 = intervals(confusion(10, 0), seed=0)

    assert (accuracy.low, accuracy.high, macro_f1.low, macro_f1.high) == (1, 1, 1, 1)
