"""All that `evaluate` finds out, as one tree that JSON carries: to a file, to the report, to another program.

Structs nest; numbers are plain. `msgspec.json.decode(content, type=Measurement)` reads it again.
"""

from __future__ import annotations

from dataclasses import dataclass

from kuaixun.export.predictions import Predictions
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.evaluation.comparison import Comparison, compare
from kuaixun.trainer.evaluation.coverage import CoveragePoint
from kuaixun.trainer.evaluation.figures import Evaluation, evaluate
from kuaixun.trainer.evaluation.row_figures import Example, RowFigures, extremes, row_figures
from kuaixun.trainer.evaluation.suspects import Suspect, suspects
from kuaixun.trainer.evaluation.target_threshold import answered_texts, at_threshold, chosen_on, rests_on_few

EXAMPLES = 20


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What one model said of every text, and what is known of it.

    Only a bundle has an id; a file of scores has neither size nor speed. `on_dev` is what it said of the texts that
    thresholds are chosen on, where those are others.
    """

    name: str
    predictions: Predictions
    model_id: str | None = None
    size_bytes: int | None = None
    texts_per_second: float | None = None
    on_dev: Predictions | None = None


@dataclass(frozen=True, slots=True)
class MeasuredModel:
    """One model's figures. `suspects` are the texts of surest contradiction, of `suspected` in all.

    `texts_per_second` is that of this machine in this run, where several models were timed; `speed_ratio` sets it
    in relation to the first one's. `target` is the threshold for the accuracy asked for and what it comes to on the
    measured texts; None where none was asked for, or where no threshold reaches it. Where it was chosen on dev,
    `target_on_dev` is what it comes to there. `target_chosen_by` counts the texts that it answers where it was chosen;
    where `target_rests_on_few`, they are too few to set it by.
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
    target_on_dev: CoveragePoint | None = None
    target_chosen_by: int | None = None
    target_rests_on_few: bool = False


@dataclass(frozen=True, slots=True)
class Measurement:
    """Models on one file of labelled texts; `comparisons` set each further model against the first.

    `dev` is the file that thresholds were chosen on, with its SHA-256; None where they were chosen on the data itself.
    """

    data: str
    sha256: str
    target_accuracy: float | None
    models: tuple[MeasuredModel, ...]
    comparisons: tuple[Comparison, ...]
    dev: str | None = None
    dev_sha256: str | None = None


def measure(
    answers: tuple[Answers, ...],
    data: LabelledTexts,
    *,
    training_texts: tuple[str, ...] | None = None,
    target_accuracy: float | None = None,
    dev: LabelledTexts | None = None,
    seed: int = 0,
) -> Measurement:
    """All figures of every model, and of each further one against the first.

    Thresholds are chosen on `dev`, where there is one, by what the answers say of it; else on the data.
    """
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
        target, target_on_dev = _targets(one, data, dev, target_accuracy)
        chosen = target_on_dev or target
        chosen_by = answered_texts(chosen, dev or data) if chosen else None
        suspected = suspects(data.label_ids, said.scores, data.labels, data.texts)
        models.append(
            MeasuredModel(
                name=one.name,
                model_id=one.model_id,
                size_bytes=one.size_bytes,
                texts_per_second=one.texts_per_second,
                speed_ratio=one.texts_per_second / reference if one.texts_per_second and reference else None,
                figures=figures,
                target=target,
                hardest=hardest,
                easiest=easiest,
                suspected=len(suspected),
                suspects=suspected[:EXAMPLES],
                target_on_dev=target_on_dev,
                target_chosen_by=chosen_by,
                target_rests_on_few=chosen_by is not None and rests_on_few(chosen_by),
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
    dev_name, dev_sha256 = (dev.source.name, dev.sha256) if dev else (None, None)
    return Measurement(data.source.name, data.sha256, target_accuracy, tuple(models), comparisons, dev_name, dev_sha256)


def rows_of(answers: Answers, data: LabelledTexts) -> tuple[RowFigures, ...]:
    """What a model said of each row of the file."""
    said = answers.predictions
    return row_figures(data.label_ids, said.label_ids, said.scores, data.labels)


def _targets(
    answers: Answers, data: LabelledTexts, dev: LabelledTexts | None, target_accuracy: float | None
) -> tuple[CoveragePoint | None, CoveragePoint | None]:
    """The threshold on the data, and on dev where it was chosen there; of dev a file of scores says nothing."""
    if target_accuracy is None:
        return None, None
    if dev is None:
        return chosen_on(answers.predictions, data, target_accuracy), None
    on_dev = chosen_on(answers.on_dev, dev, target_accuracy) if answers.on_dev else None
    return (at_threshold(on_dev.threshold, answers.predictions, data) if on_dev else None), on_dev
