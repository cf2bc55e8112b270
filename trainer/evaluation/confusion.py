"""Which class was taken for which: the counts that all figures of a classifier follow from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """How often a true class met a predicted one, for each pair that occurs: three arrays (pairs,).

    Counts of a pair that stands there several times add up. A `predicted` of `classes`, one past the last, is no label.
    """

    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    counts: NDArray[np.int64]
    classes: int

    @classmethod
    def of(cls, truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> Confusion:
        """Count pairs of `truth` (n,) and `predicted` (n,), where a negative prediction is no label."""
        said = np.where(predicted < 0, classes, predicted)  # (n,)
        pairs, counts = np.unique(truth * (classes + 1) + said, return_counts=True)  # (pairs,) both
        return cls(pairs // (classes + 1), pairs % (classes + 1), counts.astype(np.int64), classes)

    def matrix(self) -> NDArray[np.int64]:
        """A row a true class, a column a predicted one, and a last column for no label: (classes, classes + 1)."""
        matrix = np.zeros((self.classes, self.classes + 1), dtype=np.int64)
        np.add.at(matrix, (self.truth, self.predicted), self.counts)
        return matrix

    def texts(self) -> NDArray[np.int64]:
        """How many texts are of each class: (classes,)."""
        return _sums(self.truth, self.counts, self.classes)

    def claims(self) -> NDArray[np.int64]:
        """How many texts were said to be of each class: (classes,)."""
        return _sums(self.predicted, self.counts, self.classes + 1)[: self.classes]

    def hits(self) -> NDArray[np.int64]:
        """How many were rightly said to be so: (classes,)."""
        right = self.truth == self.predicted
        return _sums(self.truth[right], self.counts[right], self.classes)

    def accuracy(self) -> float:
        """The share of texts with the right label."""
        return float(self.counts[self.truth == self.predicted].sum() / self.counts.sum())

    def f1(self) -> NDArray[np.float64]:
        """The harmonic mean of precision and recall of each class, 0 where neither is defined: (classes,)."""
        return ratio(2 * self.hits(), self.texts() + self.claims())

    def macro_f1(self) -> float:
        """The plain mean of F1 over the classes that have texts."""
        return float(self.f1()[self.texts() > 0].mean())


def _sums(classes: NDArray[np.int64], counts: NDArray[np.int64], highest: int) -> NDArray[np.int64]:
    """The counts (pairs,) of each class added up: (highest,)."""
    return np.bincount(classes, counts, highest).astype(np.int64)


def ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Part by whole, 0 where the whole is 0: (classes,)."""
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
