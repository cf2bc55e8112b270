"""Whether the stream is about what the model was trained on: the mix of labels given lately, against the training's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

REMEMBERED_HEADLINES = 10_000
LEAST_HEADLINES = 1_000  # of fewer the index is mostly chance
_SMOOTHING = 0.5  # of a headline for each label, so that a label that never occurs divides nothing by zero


def population_stability_index(expected: NDArray[np.floating], found: NDArray[np.floating]) -> float:
    """How far two distributions over the same classes are apart: 0 where they agree, without end where they do not.

    Counts or weights, shape (classes,); both are smoothed. The sum over classes of (q - p) * ln(q / p): Siddiqi, Credit
    Risk Scorecards (2006), where below 0.1 is no change worth a look and above 0.25 is a large one. It is the
    symmetric form of the Kullback-Leibler divergence.
    """
    p, q = expected + _SMOOTHING, found + _SMOOTHING
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())


class LabelMix:
    """The labels of the last headlines or so: the weight of a headline fades with those that come after it.

    `training` says how often the training data has each label, None or nothing where that is not known.
    """

    def __init__(self, labels: Sequence[str], training: Mapping[str, int] | None) -> None:
        self.training = training or {}
        self._expected = np.array([float(self.training.get(label, 0)) for label in labels])  # (classes,)
        self._recent = np.zeros(len(labels))  # (classes,)

    def add(self, counts: NDArray[np.integer]) -> None:
        """A batch's labels, counted; shape (classes,)."""
        fading = np.exp(-counts.sum() / REMEMBERED_HEADLINES)
        self._recent = self._recent * fading + counts

    @property
    def drift(self) -> float | None:
        """The population stability index, None where there is too little to say it of."""
        recent = self._recent
        if not self._expected.any() or recent.sum() < LEAST_HEADLINES:
            return None
        return population_stability_index(self._expected, recent)

    @property
    def training_shares(self) -> dict[str, float]:
        """The share of each label in the training data, empty where that is not known."""
        total = sum(self.training.values())
        return {label: count / total for label, count in self.training.items()} if total else {}
