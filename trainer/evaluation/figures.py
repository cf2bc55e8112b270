"""How good a classifier is on labelled texts: the figures of the checkpoint, the model card and `evaluate`.

The official score counts every text. The clean score leaves out texts that also stand, character for character, in
the training file: those measure memory. Texts that got no label count as wrong.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kuaixun.trainer.evaluation.bootstrap import Interval, intervals
from kuaixun.trainer.evaluation.calibration import ReliabilityBin, calibration_error, reliability
from kuaixun.trainer.evaluation.confusion import Confusion, ratio
from kuaixun.trainer.evaluation.coverage import NEVER_ANSWERED, CoveragePoint, coverage_curve


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class against the rest. A ratio whose denominator is 0 is 0; `texts` bear this label in the data."""

    label: str
    texts: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All figures lie in [0, 1]. Macro figures are plain means over the classes that the data holds, weighted ones are
    weighted by each class's texts; weighted recall is the accuracy.

    `clean_accuracy` is None where no training texts were given, or all texts stand among them. `confusion` has a row a
    true class, a column a predicted one and a last column for no label.
    """

    texts: int
    unlabelled: int
    accuracy: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    weighted_precision: float
    weighted_recall: float
    weighted_f1: float
    accuracy_interval: Interval
    macro_f1_interval: Interval
    calibration_error: float
    clean_texts: int | None
    clean_accuracy: float | None
    classes: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    reliability: tuple[ReliabilityBin, ...]
    coverage: tuple[CoveragePoint, ...]

    def metrics(self) -> dict[str, float]:
        """The named figures that a manifest keeps."""
        figures = {
            "accuracy": self.accuracy,
            "macro_precision": self.macro_precision,
            "macro_recall": self.macro_recall,
            "macro_f1": self.macro_f1,
            "calibration_error": self.calibration_error,
        }
        if self.clean_accuracy is not None:
            figures["clean_accuracy"] = self.clean_accuracy
        return {name: round(figure, 6) for name, figure in figures.items()}

    def told(self) -> str:
        """The same in a line."""
        return ", ".join(f"{name} {figure:.4f}" for name, figure in self.metrics().items())


def evaluate(
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    confidences: NDArray[np.float64],
    labels: tuple[str, ...],
    *,
    texts: tuple[str, ...] = (),
    training_texts: Collection[str] | None = None,
    seed: int = 0,
) -> Evaluation:
    """Compare `predicted` (n,) with `truth` (n,), both indices into `labels`; a negative prediction is no label.

    `texts` (n,) are needed only with `training_texts`; `seed` draws the resamples of the intervals. Raises ValueError
    where n = 0 or the lengths differ.
    """
    if not len(truth) or not len(truth) == len(predicted) == len(confidences):
        raise ValueError(
            f"{len(truth)} labels, {len(predicted)} predictions, {len(confidences)} confidences to compare"
        )
    right = truth == predicted
    confusion = Confusion.of(truth, predicted, len(labels))
    of_class = confusion.texts()  # (classes,)
    precision, recall, f1 = (
        ratio(confusion.hits(), confusion.claims()),
        ratio(confusion.hits(), of_class),
        confusion.f1(),
    )
    present, weights = of_class > 0, of_class / len(truth)
    accuracy_interval, macro_f1_interval = intervals(confusion, seed)
    bins = reliability(right, confidences)
    clean_texts, clean_accuracy = _clean(right, texts, training_texts)
    return Evaluation(
        texts=len(truth),
        unlabelled=int((predicted < 0).sum()),
        accuracy=confusion.accuracy(),
        macro_precision=float(precision[present].mean()),
        macro_recall=float(recall[present].mean()),
        macro_f1=confusion.macro_f1(),
        weighted_precision=float(precision @ weights),
        weighted_recall=float(recall @ weights),
        weighted_f1=float(f1 @ weights),
        accuracy_interval=accuracy_interval,
        macro_f1_interval=macro_f1_interval,
        calibration_error=calibration_error(bins),
        clean_texts=clean_texts,
        clean_accuracy=clean_accuracy,
        classes=tuple(
            ClassFigures(label, int(of_class[index]), float(precision[index]), float(recall[index]), float(f1[index]))
            for index, label in enumerate(labels)
        ),
        confusion=tuple(tuple(row) for row in confusion.matrix().tolist()),
        reliability=bins,
        coverage=coverage_curve(right, np.where(predicted < 0, NEVER_ANSWERED, confidences)),
    )


def _clean(
    right: NDArray[np.bool_], texts: tuple[str, ...], training_texts: Collection[str] | None
) -> tuple[int | None, float | None]:
    """How many texts do not stand in training, and the accuracy on those."""
    if training_texts is None:
        return None, None
    seen = set(training_texts)
    clean = np.fromiter((text not in seen for text in texts), dtype=bool, count=len(right))
    return int(clean.sum()), float(right[clean].mean()) if clean.any() else None
