"""The worker's threshold for an accuracy wanted: chosen on some texts, and what it comes to on others.

What is chosen on texts is met better on them than on those to come, so that both are to be told.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kuaixun.export.predictions import Predictions
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.evaluation.coverage import NEVER_ANSWERED, CoveragePoint, threshold_for

LEAST_TEXTS = 20  # to choose by; that fewer are right says little of those to come


def chosen_on(said: Predictions, data: LabelledTexts, target_accuracy: float) -> CoveragePoint | None:
    """The lowest threshold at which the answered texts reach the accuracy wanted; None where none does."""
    return threshold_for(*_rights(said, data), target_accuracy)


def answered_texts(point: CoveragePoint, data: LabelledTexts) -> int:
    """How many of the texts are answered at it."""
    return round(point.answered * len(data))


def rests_on_few(chosen_by_texts: int) -> bool:
    """Whether a threshold that was chosen by so many answered texts rests on too little to be set."""
    return chosen_by_texts < LEAST_TEXTS


def at_threshold(threshold: float, said: Predictions, data: LabelledTexts) -> CoveragePoint:
    """What a threshold, wherever it was chosen, comes to on these texts."""
    right, confidences = _rights(said, data)
    answered = confidences >= threshold  # (n,)
    accuracy = float(right[answered].mean()) if answered.any() else None
    return CoveragePoint(threshold, float(answered.mean()), accuracy)


def _rights(said: Predictions, data: LabelledTexts) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which texts are right (n,), and how sure they are (n,)."""
    return said.label_ids == data.label_ids, np.where(said.label_ids < 0, NEVER_ANSWERED, said.confidences)
