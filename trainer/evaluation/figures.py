"""How good a classifier is on labelled texts: the figures of the checkpoint, the model card and `evaluate`.

The official score counts every text. The clean score leaves out texts that also stand, character for character, in
the training file: those measure memory. Texts that got no label count as wrong.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CALIBRATION_BINS = 15


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
    """All figures lie in [0, 1]. Macro figures are plain means over the classes that the data holds.

    `clean_accuracy` is None where no training texts were given, or all texts stand among them.
    """

    texts: int
    unlabelled: int
    accuracy: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    calibration_error: float
    clean_texts: int | None
    clean_accuracy: float | None
    classes: tuple[ClassFigures, ...]

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


def evaluate(
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    confidences: NDArray[np.float64],
    labels: tuple[str, ...],
    *,
    texts: tuple[str, ...] = (),
    training_texts: Collection[str] | None = None,
) -> Evaluation:
    """Compare `predicted` (n,) with `truth` (n,), both indices into `labels`; a negative prediction is no label.

    `texts` (n,) are needed only with `training_texts`. Raises ValueError where n = 0 or the lengths differ.
    """
    if not len(truth) or not len(truth) == len(predicted) == len(confidences):
        raise ValueError(
            f"{len(truth)} labels, {len(predicted)} predictions, {len(confidences)} confidences to compare"
        )
    right = truth == predicted
    classes = tuple(_class_figures(label, truth == index, predicted == index) for index, label in enumerate(labels))
    present = [figures for figures in classes if figures.texts]
    clean_texts = clean_accuracy = None
    if training_texts is not None:
        seen = set(training_texts)
        clean = np.fromiter((text not in seen for text in texts), dtype=bool, count=len(truth))
        clean_texts = int(clean.sum())
        clean_accuracy = float(right[clean].mean()) if clean_texts else None
    return Evaluation(
        texts=len(truth),
        unlabelled=int((predicted < 0).sum()),
        accuracy=float(right.mean()),
        macro_precision=float(np.mean([figures.precision for figures in present])),
        macro_recall=float(np.mean([figures.recall for figures in present])),
        macro_f1=float(np.mean([figures.f1 for figures in present])),
        calibration_error=calibration_error(right, confidences),
        clean_texts=clean_texts,
        clean_accuracy=clean_accuracy,
        classes=classes,
    )


def calibration_error(right: NDArray[np.bool_], confidences: NDArray[np.float64]) -> float:
    """Expected calibration error: the gap between confidence and accuracy, over 15 equal bins, weighted by their texts.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, equation 3.
    """
    bins = np.clip(np.ceil(confidences * CALIBRATION_BINS).astype(np.int64) - 1, 0, CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=right - confidences, minlength=CALIBRATION_BINS)  # (bins,) n_b · (acc_b - conf_b)
    return float(np.abs(gaps).sum() / len(confidences))


def _class_figures(label: str, is_it: NDArray[np.bool_], said_so: NDArray[np.bool_]) -> ClassFigures:
    hits = int((is_it & said_so).sum())
    texts, claims = int(is_it.sum()), int(said_so.sum())
    return ClassFigures(
        label=label,
        texts=texts,
        precision=hits / claims if claims else 0.0,
        recall=hits / texts if texts else 0.0,
        f1=2 * hits / (texts + claims) if texts + claims else 0.0,
    )
