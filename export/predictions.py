"""What a classifier says of a batch of texts, and how logits become it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NO_LABEL = -1
DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Predictions:
    """One row a text, in the order of the texts.

    `label_ids` (n,) indexes the bundle's labels, or is NO_LABEL where nothing of the text was left to classify;
    `confidences` (n,) is the calibrated probability of that label, 0 where there is none; `scores` (n, classes) holds
    all probabilities, zeros where there is no label.

    Figures are rounded to six decimals, so that the same text has the same figures in any batch.
    """

    label_ids: NDArray[np.int64]
    confidences: NDArray[np.float64]
    scores: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.label_ids)


def predictions_from(logits: NDArray[np.float64], lengths: NDArray[np.int64], temperature: float) -> Predictions:
    """Calibrate: softmax of logits (n, classes) over `temperature`; texts of length 0 get no label."""
    probabilities = _softmax(logits / temperature)  # (n, classes)
    scores = np.round(probabilities, DECIMALS)
    label_ids = probabilities.argmax(axis=1)
    empty = lengths == 0
    label_ids[empty] = NO_LABEL
    scores[empty] = 0.0
    confidences = np.where(empty, 0.0, scores.max(axis=1))
    return Predictions(label_ids=label_ids, confidences=confidences, scores=scores)


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row-wise softmax, shape kept: (n, classes)."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    result: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return result
