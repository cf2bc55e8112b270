"""What is recorded of a student once its weights are found: calibration, figures, int8 scales and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kuaixun.export.checkpoint import CheckpointRecord
from kuaixun.export.student.quantisation import with_best_scales
from kuaixun.export.student.tracing import convolutional_module
from kuaixun.export.student.weights import StudentWeights
from kuaixun.export.text.pipeline import TextPipeline
from kuaixun.schemas.manifest import Training
from kuaixun.trainer.data.labelled_texts import DataSplit
from kuaixun.trainer.evaluation.calibration import fit_temperature
from kuaixun.trainer.evaluation.figures import Evaluation
from kuaixun.trainer.evaluation.precision_costs import measure_precision
from kuaixun.trainer.fitting.encoded_texts import EncodedTexts, encode
from kuaixun.trainer.fitting.training import logits_of
from kuaixun.trainer.student.deployed import DeployedStudent
from kuaixun.trainer.student.deployed_figures import measure_deployed


@dataclass(frozen=True, slots=True, eq=False)
class Described:
    """The record, the weights with the int8 scales that were chosen, the figures by role (dev, test)."""

    record: CheckpointRecord
    weights: StudentWeights
    figures: dict[str, Evaluation]


def encoded_parts(pipeline: TextPipeline, split: DataSplit) -> dict[str, EncodedTexts]:
    """The parts that a student is measured on, by role: dev, and test where there is one. Raises DataError."""
    return {role: encode(pipeline, data) for role, data in split.parts.items() if role != "train"}


def describe(
    student: DeployedStudent,
    pipeline: TextPipeline,
    split: DataSplit,
    encoded: Mapping[str, EncodedTexts],
    training: Training,
    say: Callable[[str], None],
) -> Described:
    """Calibrate on dev, measure on each of the `encoded` parts, choose the int8 scales on dev.

    `training` is what the record says of how it was made.
    """
    dev, module = encoded["dev"], convolutional_module(student.architecture, student.weights)
    temperature = fit_temperature(logits_of(module, dev), dev.label_ids)
    figures = {
        role: measure_deployed(module, found, split.parts[role], split.train, temperature)
        for role, found in encoded.items()
    }
    say("choosing the int8 scales, and measuring what each precision costs, on the dev texts")
    weights = with_best_scales(student.weights, dev.ids.numpy())
    record = CheckpointRecord(
        labels=split.train.labels,
        text=pipeline.parameters,
        architecture=student.architecture,
        temperature=temperature,
        precision=measure_precision(weights, student.architecture, dev.ids.numpy(), dev.label_ids.numpy()),
        metrics={role: evaluation.metrics() for role, evaluation in figures.items()},
        training=training,
    )
    return Described(record, weights, figures)
