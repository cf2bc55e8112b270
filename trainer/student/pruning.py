"""Filters that say next to nothing, left out: nearly the same labels from a smaller student, which serves faster.

Of the filters of a trained student some fire on next to no text, and of others the last layer makes next to nothing.
What a filter says of a text is its feature times its weights. It counts by how far that varies over training texts, for
a constant can stand in the bias just as well, and there it goes. How many may go is tried on dev.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from kuaixun.export.student.quantisation import FILTER_PADDING
from kuaixun.export.student.weights import StudentWeights
from kuaixun.trainer.advance import Advance, in_silence
from kuaixun.trainer.evaluation.precision_costs import LARGEST_LOSS, LEAST_AGREEMENT
from kuaixun.trainer.fitting.encoded_texts import EncodedTexts
from kuaixun.trainer.student.deployed import DeployedStudent

TRAINING_TEXTS = 50_000  # at most, evenly spaced: to know what each filter says


@dataclass(frozen=True, slots=True, eq=False)
class Says:
    """What filters say of texts: a feature's mean (widths * filters,), and how much it counts (widths * filters,)."""

    means: NDArray[np.float64]
    counts: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """A smaller student, and what it costs on dev beside the whole one."""

    student: DeployedStudent
    accuracy: float
    accuracy_difference: float
    label_agreement: float

    @property
    def is_near(self) -> bool:
        """Whether it costs no more than a precision may that is to be a bundle's default."""
        return self.accuracy_difference >= -LARGEST_LOSS and self.label_agreement >= LEAST_AGREEMENT


def what_filters_say(student: DeployedStudent, train: EncodedTexts, advance: Advance = in_silence) -> Says:
    """Measured on training texts."""
    some = np.linspace(0, len(train), min(len(train), TRAINING_TEXTS), endpoint=False, dtype=np.int64)
    texts, sums, squares = 0, np.zeros(1), np.zeros(1)
    for pooled, _, _ in student.states(train.of_rows(train.rows.numpy()[some]), advance):
        texts += len(pooled)
        sums = sums + pooled.sum(axis=0, dtype=np.float64)
        squares = squares + np.square(pooled, dtype=np.float64).sum(axis=0)
    means = sums / texts
    deviations = np.sqrt(np.maximum(squares / texts - means**2, 0))
    linear = student.weights.linear.astype(np.float64)  # (classes, widths * filters)
    # What all classes gain alike moves no label and no probability.
    return Says(means, deviations * np.linalg.norm(linear - linear.mean(axis=0), axis=0))


def smaller_sizes(filters: int) -> range:
    """How many filters of each width are worth a trial: the native engine takes so many at once."""
    return range((filters - 1) // FILTER_PADDING * FILTER_PADDING, 0, -FILTER_PADDING)


def kept_filters(student: DeployedStudent, filters: int, says: Says) -> NDArray[np.bool_]:
    """Those of each width that count for most: (widths, filters)."""
    by_width = says.counts.reshape(len(student.architecture.widths), -1)  # (widths, filters)
    most = np.argsort(-by_width, axis=1, kind="stable")[:, :filters]  # (widths, kept)
    kept = np.zeros(by_width.shape, dtype=bool)
    np.put_along_axis(kept, most, values=True, axis=1)
    return kept


def without_others(student: DeployedStudent, kept: NDArray[np.bool_], says: Says) -> DeployedStudent:
    """The student with these filters alone (widths, filters), as many of each width, in their order."""
    weights, stay = student.weights, kept.ravel()  # (widths * filters,)
    bias = weights.linear_bias + weights.linear[:, ~stay] @ says.means[~stay]  # (classes,)

    def of_each(columns: Sequence[NDArray[np.float32]]) -> tuple[NDArray[np.float32], ...]:
        return tuple(column[rows] for column, rows in zip(columns, kept, strict=True))

    smaller = dataclasses.replace(
        weights,
        convolutions=of_each(weights.convolutions),
        convolution_biases=of_each(weights.convolution_biases),
        convolution_scales=of_each(weights.convolution_scales),
        linear=np.ascontiguousarray(weights.linear[:, stay]),
        linear_bias=bias.astype(np.float16).astype(np.float32),
    )
    return DeployedStudent(smaller, msgspec.structs.replace(student.architecture, filters=int(kept[0].sum())))


def trials(
    student: DeployedStudent, sizes: Sequence[int], says: Says, dev: EncodedTexts, advance: Advance = in_silence
) -> list[Trial]:
    """Students of so many filters of each width, measured on dev texts beside the whole one."""
    kept = [kept_filters(student, filters, says) for filters in sizes]
    tried = [without_others(student, one, says) for one in kept]
    right, agreed, whole_right = np.zeros(len(tried)), np.zeros(len(tried)), 0
    for pooled, ngrams, label_ids in student.states(dev, advance):
        whole = _labels(pooled, ngrams, student.weights)  # (b,)
        whole_right += int((whole == label_ids).sum())
        for place, (one, stay) in enumerate(zip(tried, kept, strict=True)):
            labels = _labels(pooled[:, stay.ravel()], ngrams, one.weights)  # (b,)
            right[place] += (labels == label_ids).sum()
            agreed[place] += (labels == whole).sum()
    return [
        Trial(one, float(hits / len(dev)), float((hits - whole_right) / len(dev)), float(same / len(dev)))
        for one, hits, same in zip(tried, right, agreed, strict=True)
    ]


def smallest_near(found: Sequence[Trial]) -> Trial | None:
    """The last one, of ever smaller ones, before any costs too much; None where the first does already."""
    nearest = None
    for trial in found:
        if not trial.is_near:
            break
        nearest = trial
    return nearest


def _labels(pooled: NDArray[np.float32], ngrams: NDArray[np.float32], weights: StudentWeights) -> NDArray[np.int64]:
    """What the last layer makes of states (b, widths * filters): label ids (b,)."""
    logits = pooled @ weights.linear.T + weights.linear_bias + ngrams  # (b, classes)
    label_ids: NDArray[np.int64] = logits.argmax(axis=1)
    return label_ids
