"""What a classifier says of a batch of texts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NO_LABEL = -1


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
