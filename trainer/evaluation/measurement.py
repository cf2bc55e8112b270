"""All that `evaluate` finds out, as one tree that JSON carries: to a file, to the report, to another program.

Structs nest; numbers are plain. `msgspec.json.decode(content, type=Measurement)` reads it again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kuaixun.export.predictions import Predictions
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.evaluation.comparison import Comparison, compare
from kuaixun.trainer.evaluation.coverage import NEVER_ANSWERED, CoveragePoint, threshold_for
from kuaixun.trainer.evaluation.figures import Evaluation, evaluate
from kuaixun.trainer.evaluation.row_figures import Example, RowFigures, extremes, row_figures
from kuaixun.trainer.evaluation.suspects import Suspect, suspects

EXAMPLES = 20


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What one model said of every text, and what is known of it.

    Only a bundle has an id; a file of scores has neither size nor speed.
    """

    name: str
    predictions: Predictions
    model_id: str | None = None
    size_bytes: int | None = None
    texts_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class MeasuredModel:
    """One model's figures. `suspects` are the texts of surest contradiction, of `suspected` in all.

    `texts_per_second` is that of this machine in this run, where several models were timed; `speed_ratio` sets it
    in relation to the first one's. `target` is the threshold for the accuracy asked for; None where none was, or
    where no threshold reaches it.
    """

    name: str
    model_id: str | None
    size_bytes: int | None
    texts_per_second: float | None
    speed_ratio: float | None
    figures: Evaluation
    target: CoveragePoint | None
    hardest: tuple[Example, ...]
    easiest: tuple[Example, ...]
    suspected: int
    suspects: tuple[Suspect, ...]


@dataclass(frozen=True, slots=True)
class Measurement:
    """Models on one file of labelled texts; `comparisons` set each further model against the first."""

    data: str
    sha256: str
    target_accuracy: float | None
    models: tuple[MeasuredModel, ...]
    comparisons: tuple[Comparison, ...]


def measure(
    answers: tuple[Answers, ...],
    data: LabelledTexts,
    *,
    training_texts: tuple[str, ...] | None = None,
    target_accuracy: float | None = None,
    seed: int = 0,
) -> Measurement:
    """All figures of every model, and of each further one against the first."""
    reference = next((one.texts_per_second for one in answers if one.texts_per_second), None)
    models = []
    for one in answers:
        said = one.predictions
        figures = evaluate(
            data.label_ids,
            said.label_ids,
            said.confidences,
            data.labels,
            texts=data.texts,
            training_texts=training_texts,
            seed=seed,
        )
        hardest, easiest = extremes(rows_of(one, data), data.texts, EXAMPLES)
        suspected = suspects(data.label_ids, said.scores, data.labels, data.texts)
        models.append(
            MeasuredModel(
                name=one.name,
                model_id=one.model_id,
                size_bytes=one.size_bytes,
                texts_per_second=one.texts_per_second,
                speed_ratio=one.texts_per_second / reference if one.texts_per_second and reference else None,
                figures=figures,
                target=_target(said, data, target_accuracy),
                hardest=hardest,
                easiest=easiest,
                suspected=len(suspected),
                suspects=suspected[:EXAMPLES],
            )
        )
    comparisons = tuple(
        compare(
            (one.name, answers[0].name),
            data.label_ids,
            one.predictions.label_ids,
            answers[0].predictions.label_ids,
            len(data.labels),
            seed=seed,
        )
        for one in answers[1:]
    )
    return Measurement(data.source.name, data.sha256, target_accuracy, tuple(models), comparisons)


def rows_of(answers: Answers, data: LabelledTexts) -> tuple[RowFigures, ...]:
    """What a model said of each row of the file."""
    said = answers.predictions
    return row_figures(data.label_ids, said.label_ids, said.scores, data.labels)


def _target(said: Predictions, data: LabelledTexts, target_accuracy: float | None) -> CoveragePoint | None:
    if target_accuracy is None:
        return None
    confidences = np.where(said.label_ids < 0, NEVER_ANSWERED, said.confidences)  # (n,)
    return threshold_for(said.label_ids == data.label_ids, confidences, target_accuracy)
