"""Thresholds for the worker: chosen on dev for an accuracy wanted, and what they come to on test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kuaixun.export.predictions import Predictions
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.evaluation.coverage import NEVER_ANSWERED, CoveragePoint, threshold_for

TARGETS = (0.95, 0.97, 0.98, 0.99)


@dataclass(frozen=True, slots=True)
class ChosenThreshold:
    """The lowest threshold that reaches `target` on dev, there and on test; None where none reaches it."""

    target: float
    on_dev: CoveragePoint | None
    on_test: CoveragePoint | None


def choose_thresholds(
    dev: Predictions, dev_data: LabelledTexts, test: Predictions, test_data: LabelledTexts
) -> tuple[ChosenThreshold, ...]:
    """One for each target."""
    right, confidences = _answers(dev, dev_data)
    found = ((target, threshold_for(right, confidences, target)) for target in TARGETS)
    return tuple(
        ChosenThreshold(target, point, _at(point.threshold, *_answers(test, test_data)) if point else None)
        for target, point in found
    )


def _answers(said: Predictions, data: LabelledTexts) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    return said.label_ids == data.label_ids, np.where(said.label_ids < 0, NEVER_ANSWERED, said.confidences)


def _at(threshold: float, right: NDArray[np.bool_], confidences: NDArray[np.float64]) -> CoveragePoint:
    answered = confidences >= threshold  # (n,)
    accuracy = float(right[answered].mean()) if answered.any() else None
    return CoveragePoint(threshold, float(answered.mean()), accuracy)
