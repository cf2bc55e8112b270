"""The worker's threshold for an accuracy wanted: chosen on some texts, and what it comes to on others.

What is chosen on texts is met better on them than on those to come, so that both are to be told.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kuaixun.export.predictions import Predictions
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.evaluation.coverage import NEVER_ANSWERED, CoveragePoint, threshold_for


def chosen_on(said: Predictions, data: LabelledTexts, target_accuracy: float) -> CoveragePoint | None:
    """The lowest threshold at which the answered texts reach the accuracy wanted; None where none does."""
    return threshold_for(*_rights(said, data), target_accuracy)


def at_threshold(threshold: float, said: Predictions, data: LabelledTexts) -> CoveragePoint:
    """What a threshold, wherever it was chosen, comes to on these texts."""
    right, confidences = _rights(said, data)
    answered = confidences >= threshold  # (n,)
    accuracy = float(right[answered].mean()) if answered.any() else None
    return CoveragePoint(threshold, float(answered.mean()), accuracy)


def _rights(said: Predictions, data: LabelledTexts) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which texts are right (n,), and how sure they are (n,)."""
    return said.label_ids == data.label_ids, np.where(said.label_ids < 0, NEVER_ANSWERED, said.confidences)
