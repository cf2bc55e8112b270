"""What features say of classes: as another library counts it, with labels, with teachers and with neither."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, kl_divergence

from kuaixun.trainer.fitting.objective import UNLABELLED, Batch
from kuaixun.trainer.student.information import information, loudness_of
from kuaixun.trainer.student.ngram_counts import NgramCounts
from kuaixun.trainer.student.text_features import TextFeatures

NO_IDS = torch.empty(0, dtype=torch.int64)
SHARES = torch.tensor([0.5, 0.25, 0.25])


def divergence(weights: Tensor, others: Tensor) -> float:
    return float(kl_divergence(Categorical(weights), Categorical(others)))


def test_it_is_the_divergence_of_the_classes_of_texts_with_the_feature_from_those_of_all() -> None:
    counts = torch.tensor([[4.0, 0.0, 0.0], [4.0, 2.0, 2.0], [1.0, 5.0, 2.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]])

    found = information(counts, SHARES)

    expected = [divergence(row, SHARES) for row in counts[:4]]
    assert found.tolist() == pytest.approx([*expected, 0.0], abs=1e-6)
    assert found[1] == pytest.approx(0.0, abs=1e-6)


def test_a_class_without_texts_makes_nothing_of_it_undefined() -> None:
    assert information(torch.tensor([[2.0, 0.0], [1.0, 0.0]]), torch.tensor([1.0, 0.0])).tolist() == [0.0, 0.0]


def features() -> TextFeatures:
    """The first filter fires on the first class alone, the second on every text, the third on none; what rounding
    leaves of a sum is no firing.
    """
    states = torch.tensor([[8.0, 1.0, 0.0], [6.0, 1.0, 0.0], [1e-6, 1.0, 0.0], [0.0, 1.0, 0.0]])
    rows, buckets = torch.tensor([0, 0, 0, 2, 3, 1, 2]), torch.tensor([5, 5, 5, 5, 9, 7, 7])
    return TextFeatures(states, NgramCounts.of(rows, buckets, 4, None))


def test_the_most_telling_feature_counts_one_where_it_is_largest_and_what_says_nothing_is_silent() -> None:
    told = Batch(NO_IDS, torch.tensor([0, 0, 1, 1]), None)

    loudness = loudness_of(features(), told, classes=2)

    assert loudness.of_states.tolist() == pytest.approx([1 / 8, 0.0, 0.0])
    assert loudness.of_ngrams is not None
    # The texts that have an n-gram count, not how often: bucket 5 stands in a text of each class, three times in one.
    assert loudness.of_ngrams.tolist() == pytest.approx([0.0, 0.0, 1.0])


def test_texts_without_a_label_are_of_the_classes_that_the_teacher_sees() -> None:
    teacher = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.25, 0.75], [0.0, 1.0]])
    told = Batch(NO_IDS, torch.tensor([0, UNLABELLED, UNLABELLED, 1]), teacher)
    texts = torch.tensor([2.25, 1.75])

    loudness = loudness_of(features(), told, classes=2)

    assert loudness.of_ngrams is not None
    five, seven, nine = (
        divergence(torch.tensor(classes) / texts, torch.ones(2)) for classes in ([1.25, 0.75], [1.25, 0.75], [0.0, 1.0])
    )
    assert loudness.of_ngrams.tolist() == pytest.approx([(one / nine) ** 0.5 for one in (five, seven, nine)], rel=1e-5)


def test_what_tells_a_common_class_from_a_rare_one_is_heard_as_well() -> None:
    """The first filter fires on all texts of the common class alone, the second on the one text of the other."""
    states = torch.tensor([[1.0, 0.0]] * 19 + [[0.0, 1.0]])
    told = Batch(NO_IDS, torch.tensor([0] * 19 + [1]), None)

    assert loudness_of(TextFeatures(states, None), told, classes=2).of_states.tolist() == pytest.approx([1.0, 1.0])


def test_where_nothing_says_anything_all_are_alike() -> None:
    told = Batch(NO_IDS, torch.tensor([0, 1, 0, 1]), None)
    silent = TextFeatures(torch.ones(4, 2), None)

    loudness = loudness_of(silent, told, classes=2)

    assert loudness.of_states.tolist() == [1.0, 1.0]
    assert loudness.of_ngrams is None
