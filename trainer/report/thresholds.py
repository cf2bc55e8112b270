"""Thresholds for the worker: chosen on dev for an accuracy wanted, and what they come to on test."""

from __future__ import annotations

from dataclasses import dataclass

from kuaixun.export.predictions import Predictions
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.evaluation.coverage import CoveragePoint
from kuaixun.trainer.evaluation.target_threshold import answered_texts, at_threshold, chosen_on, rests_on_few

TARGETS = (0.95, 0.97, 0.98, 0.99)


@dataclass(frozen=True, slots=True)
class ChosenThreshold:
    """The lowest threshold that reaches `target` on dev, there and on test; None where none reaches it.

    `dev_answered` and `test_answered` are the texts that it answers.
    """

    target: float
    on_dev: CoveragePoint | None
    on_test: CoveragePoint | None
    dev_answered: int = 0
    test_answered: int = 0

    @property
    def rests_on_few(self) -> bool:
        """Whether too few texts of dev speak for it."""
        return rests_on_few(self.dev_answered)


def choose_thresholds(
    dev: Predictions, dev_data: LabelledTexts, test: Predictions, test_data: LabelledTexts
) -> tuple[ChosenThreshold, ...]:
    """One for each target."""
    chosen = []
    for target in TARGETS:
        on_dev = chosen_on(dev, dev_data, target)
        if on_dev is None:
            chosen.append(ChosenThreshold(target, None, None))
            continue
        on_test = at_threshold(on_dev.threshold, test, test_data)
        texts = answered_texts(on_dev, dev_data), answered_texts(on_test, test_data)
        chosen.append(ChosenThreshold(target, on_dev, on_test, *texts))
    return tuple(chosen)
