"""The threshold's price: what is answered, and how well."""

from __future__ import annotations

import numpy as np
import pytest

from kuaixun.trainer.evaluation.coverage import NEVER_ANSWERED, coverage_curve, threshold_for

RIGHT = np.array([True, True, False, True, False])
CONFIDENCES = np.array([0.99, 0.8, 0.8, 0.5, NEVER_ANSWERED])


def test_a_text_is_answered_from_its_own_confidence_on() -> None:
    curve = {point.threshold: point for point in coverage_curve(RIGHT, CONFIDENCES)}

    assert (curve[0.0].answered, curve[0.0].accuracy) == (4 / 5, 3 / 4)
    assert (curve[0.8].answered, curve[0.8].accuracy) == (3 / 5, 2 / 3)
    assert (curve[0.81].answered, curve[0.81].accuracy) == (1 / 5, 1.0)
    assert (curve[1.0].answered, curve[1.0].accuracy) == (0, None)


def test_a_higher_threshold_never_answers_more() -> None:
    chance = np.random.default_rng(0)
    answered = [point.answered for point in coverage_curve(chance.random(1000) < 0.9, chance.random(1000))]

    assert answered == sorted(answered, reverse=True)
    assert answered[0] == 1


def test_the_threshold_named_is_the_lowest_that_reaches_the_target() -> None:
    chance = np.random.default_rng(1)
    confidences = np.round(chance.random(2000), 2)
    right = chance.random(2000) < 0.6 + 0.4 * confidences

    found = threshold_for(right, confidences, 0.9)

    assert found is not None
    accuracies = {one: right[confidences >= one].mean() for one in np.unique(confidences)}
    assert found.threshold == min(one for one, accuracy in accuracies.items() if accuracy >= 0.9)
    assert found.accuracy == accuracies[found.threshold]
    assert found.answered == (confidences >= found.threshold).mean()


def test_texts_of_one_confidence_are_answered_together_or_not_at_all() -> None:
    found = threshold_for(RIGHT, CONFIDENCES, 0.9)

    assert found is not None
    assert (found.threshold, found.answered) == (0.99, 1 / 5)


@pytest.mark.parametrize("target", [hundredths / 100 for hundredths in range(1, 101)])
def test_a_target_that_is_met_exactly_is_reached(target: float) -> None:
    """55 of 100 are 0.55, though 0.55 times 100 is 55.00000000000001."""
    right = np.arange(100) < round(100 * target)

    found = threshold_for(right, np.full(100, 0.9), target)

    assert found is not None
    assert found.accuracy == target


def test_a_target_out_of_reach_has_no_threshold_and_texts_without_a_label_none_either() -> None:
    assert threshold_for(np.array([False, True]), np.array([0.9, NEVER_ANSWERED]), 0.5) is None
