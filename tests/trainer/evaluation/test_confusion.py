"""Counts of which class was taken for which."""

from __future__ import annotations

import numpy as np

from kuaixun.trainer.evaluation.confusion import Confusion


def test_counts_of_a_pair_that_stands_there_twice_add_up() -> None:
    """As where pairs were counted apart by what a second model said."""
    truth, predicted, counts = np.array([0, 1, 0, 1]), np.array([1, 1, 1, 2]), np.array([3, 4, 5, 6])

    found = Confusion(truth, predicted, counts, classes=2)

    assert found.matrix().tolist() == [[0, 8, 0], [0, 4, 6]]
    assert found.matrix().sum(axis=1).tolist() == found.texts().tolist()
    assert found.matrix()[:, :2].sum(axis=0).tolist() == found.claims().tolist()
