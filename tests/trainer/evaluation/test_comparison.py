"""Two models on the same texts."""

from __future__ import annotations

import numpy as np
import pytest

from kuaixun.trainer.evaluation.comparison import compare, mcnemar_p

TRUTH = np.random.default_rng(0).integers(0, 4, 1000)


def spoilt(
    truth: np.ndarray[tuple[int], np.dtype[np.int64]], rows: slice
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    answers = truth.copy()
    answers[rows] = (answers[rows] + 1) % 4
    return answers


def test_differences_are_those_of_the_figures_and_pairs_are_counted() -> None:
    found = compare(("new", "old"), TRUTH, spoilt(TRUTH, slice(0, 60)), spoilt(TRUTH, slice(20, 120)), 4, seed=0)

    assert (found.model, found.reference) == ("new", "old")
    assert found.accuracy_difference == pytest.approx(0.04)
    assert (found.only_model_right, found.only_reference_right) == (60, 20)
    assert found.accuracy_interval.low < 0.04 < found.accuracy_interval.high
    assert found.macro_f1_interval.low < found.macro_f1_difference < found.macro_f1_interval.high


def test_texts_that_are_hard_for_both_do_not_widen_the_interval() -> None:
    together = compare(("a", "b"), TRUTH, spoilt(TRUTH, slice(0, 310)), spoilt(TRUTH, slice(0, 300)), 4, seed=0)
    apart = compare(("a", "b"), TRUTH, spoilt(TRUTH, slice(0, 310)), spoilt(TRUTH, slice(400, 700)), 4, seed=0)

    assert together.accuracy_interval.high < 0 < apart.accuracy_interval.high


def test_a_model_compared_with_itself_differs_by_nothing() -> None:
    answers = spoilt(TRUTH, slice(0, 50))
    answers[60] = -1

    found = compare(("a", "b"), TRUTH, answers, answers, 4, seed=0)

    assert (found.accuracy_difference, found.accuracy_interval.low, found.accuracy_interval.high) == (0, 0, 0)
    assert found.mcnemar_p == 1


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (0, 0, 1.0),
        (7, 7, 1.0),
        (1, 5, 0.21875),
        (0, 12, 2 / 4096),
        # scipy.stats.binomtest(one, one + other).pvalue
        (300, 220, 0.0005194158496652906),
        (2100, 2000, 0.12206497999113655),
        (1_000_000, 1_003_000, 0.034088365079432),
    ],
)
def test_mcnemars_test_is_the_exact_binomial_one(one: int, other: int, expected: float) -> None:
    assert mcnemar_p(one, other) == pytest.approx(expected)
