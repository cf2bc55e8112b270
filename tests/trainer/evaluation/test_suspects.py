"""Confident learning on labels of which some were spoilt."""

from __future__ import annotations

import numpy as np
import pytest

from kuaixun.trainer.evaluation.suspects import suspects

LABELS = ("a", "b", "c")


def test_labels_that_were_spoilt_are_found_and_no_others() -> None:
    chance = np.random.default_rng(0)
    true = chance.integers(0, 3, 600)
    probabilities = np.full((600, 3), 0.05)
    probabilities[np.arange(600), true] = 0.9
    blurred = chance.dirichlet((1, 1, 1), 600)
    probabilities = 0.8 * probabilities + 0.2 * blurred
    labels = true.copy()
    spoilt = chance.choice(600, 30, replace=False)
    labels[spoilt] = (labels[spoilt] + 1) % 3

    found = suspects(labels, probabilities, LABELS, ("text",) * 600)

    assert {one.row for one in found} <= set(spoilt.tolist())
    assert len(found) >= 15  # a class's mean is its threshold, so about half of its texts reach it
    assert all(one.suggested == LABELS[true[one.row]] for one in found)


def test_a_label_is_suspect_only_where_another_class_reaches_its_own_threshold() -> None:
    # The mean of a on texts called a is (0.9 + 0.7) / 2 = 0.8, of b on texts called b (0.4 + 0.9 + 0.1) / 3 = 0.47.
    truth = np.array([0, 0, 1, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.6, 0.4], [0.1, 0.9], [0.9, 0.1]])

    (found,) = suspects(truth, probabilities, ("a", "b"), tuple("甲乙丙丁戊"))

    # Row 2 leans to a as well, but less than texts of a do.
    assert found.row == 4


def test_the_surest_contradiction_comes_first() -> None:
    truth = np.array([0, 0, 0, 1, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.1, 0.9], [0.3, 0.7], [0.95, 0.05]])

    found = suspects(truth, probabilities, ("a", "b"), tuple("甲乙丙丁戊己"))

    assert [one.row for one in found] == [5, 2]


def test_an_empty_answer_is_never_suspect_and_moves_no_threshold() -> None:
    truth = np.array([0, 0, 1, 1])
    # Row 2 would reach the mean of a, were the empty answer a part of it.
    probabilities = np.array([[0.9, 0.1], [0.0, 0.0], [0.6, 0.4], [0.95, 0.05]])

    (found,) = suspects(truth, probabilities, ("a", "b"), tuple("甲乙丙丁"))

    assert (found.row, found.text, found.label, found.suggested) == (3, "丁", "b", "a")
    assert (found.given, found.confidence) == pytest.approx((0.05, 0.95))
