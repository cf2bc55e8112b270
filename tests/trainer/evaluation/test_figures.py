"""The figures of an evaluation against ones worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kuaixun.trainer.evaluation.figures import calibration_error, evaluate

LABELS = ("a", "b", "c")
TRUTH = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, -1, 1])
CONFIDENCES = np.array([0.9, 0.8, 0.6, 0.7, 0.0, 0.5])


def test_accuracy_and_class_figures_are_those_computed_by_hand() -> None:
    found = evaluate(TRUTH, PREDICTED, CONFIDENCES, LABELS)

    assert found.texts == 6
    assert found.unlabelled == 1
    assert found.accuracy == pytest.approx(3 / 6)
    a, b, c = found.classes
    assert (a.label, a.texts, b.texts, c.texts) == ("a", 3, 2, 1)
    assert (a.precision, a.recall, a.f1) == pytest.approx((1, 2 / 3, 0.8))
    assert (b.precision, b.recall, b.f1) == pytest.approx((1 / 3, 1 / 2, 0.4))
    assert (c.precision, c.recall, c.f1) == (0, 0, 0)
    assert found.macro_precision == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert found.macro_recall == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert found.macro_f1 == pytest.approx((0.8 + 0.4 + 0) / 3)


def test_a_class_absent_from_the_data_is_no_part_of_the_means() -> None:
    found = evaluate(np.array([0, 1]), np.array([0, 1]), np.array([1.0, 1.0]), LABELS)

    assert found.macro_f1 == 1.0
    assert found.classes[2].texts == 0


def test_the_clean_score_leaves_out_texts_seen_in_training() -> None:
    texts = ("甲", "乙", "丙", "丁", "戊", "己")

    found = evaluate(TRUTH, PREDICTED, CONFIDENCES, LABELS, texts=texts, training_texts=("甲", "戊", "甲", "庚"))

    assert found.clean_texts == 4
    assert found.clean_accuracy == pytest.approx(2 / 4)
    assert found.accuracy == pytest.approx(3 / 6)
    assert found.metrics()["clean_accuracy"] == 0.5


def test_without_training_texts_there_is_no_clean_score() -> None:
    found = evaluate(TRUTH, PREDICTED, CONFIDENCES, LABELS)

    assert found.clean_accuracy is None
    assert "clean_accuracy" not in found.metrics()


def test_calibration_error_weighs_each_bins_gap_by_its_texts() -> None:
    # Bins of 1/15: 0.95 twice in the last (half right), 0.65 once in the tenth (right).
    right = np.array([True, False, True])
    confidences = np.array([0.95, 0.95, 0.65])

    assert calibration_error(right, confidences) == pytest.approx((2 * 0.45 + 1 * 0.35) / 3)


def test_full_and_zero_confidence_lie_inside_the_bins() -> None:
    assert calibration_error(np.array([True, False]), np.array([1.0, 0.0])) == 0.0


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="6 labels, 5 predictions"):
        evaluate(TRUTH, PREDICTED[:5], CONFIDENCES, LABELS)
