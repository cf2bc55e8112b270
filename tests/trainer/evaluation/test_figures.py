"""The figures of an evaluation against ones worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_fscore_support

from kuaixun.trainer.evaluation.figures import evaluate

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
    assert found.weighted_precision == pytest.approx((3 * 1 + 2 / 3 + 0) / 6)
    assert found.weighted_recall == found.accuracy
    assert found.weighted_f1 == pytest.approx((3 * 0.8 + 2 * 0.4 + 0) / 6)
    assert found.confusion == ((2, 1, 0, 0), (0, 1, 0, 1), (0, 1, 0, 0))


def test_a_text_without_a_label_is_answered_at_no_threshold() -> None:
    found = evaluate(TRUTH, PREDICTED, CONFIDENCES, LABELS)

    assert (found.coverage[0].threshold, found.coverage[0].answered, found.coverage[0].accuracy) == (0, 5 / 6, 3 / 5)


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


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="6 labels, 5 predictions"):
        evaluate(TRUTH, PREDICTED[:5], CONFIDENCES, LABELS)


def test_figures_agree_with_those_of_scikit_learn() -> None:
    chance = np.random.default_rng(5)
    labels = tuple("abcdefg")
    truth = chance.integers(0, 6, 500)  # no text is of the last class, though it is predicted
    predicted = np.where(chance.random(500) < 0.6, truth, chance.integers(0, 7, 500))

    found = evaluate(truth, predicted, chance.random(500), labels)

    options = {"labels": range(6), "zero_division": 0}
    for mean in ("macro", "weighted"):
        precision, recall, f1, _ = precision_recall_fscore_support(truth, predicted, average=mean, **options)
        ours = [getattr(found, f"{mean}_{name}") for name in ("precision", "recall", "f1")]
        assert ours == pytest.approx([precision, recall, f1])
    assert [one.f1 for one in found.classes[:6]] == pytest.approx(
        list(f1_score(truth, predicted, average=None, **options))
    )


def test_the_intervals_hold_the_figures_and_are_drawn_by_the_seed() -> None:
    chance = np.random.default_rng(6)
    truth = chance.integers(0, 3, 400)
    predicted = np.where(chance.random(400) < 0.8, truth, chance.integers(0, 3, 400))

    first, again, other = (evaluate(truth, predicted, np.ones(400), LABELS, seed=seed) for seed in (1, 1, 2))

    assert first.accuracy_interval.low < first.accuracy < first.accuracy_interval.high
    assert first.macro_f1_interval.low < first.macro_f1 < first.macro_f1_interval.high
    assert first == again
    assert first.macro_f1_interval != other.macro_f1_interval
