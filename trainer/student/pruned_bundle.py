"""A pruned student as a bundle of its own: calibrated, measured and described anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from kuaixun.export.bundle.file_names import MODEL_CARD_FILE
from kuaixun.export.bundle.model_card import origin_of
from kuaixun.export.bundle.reader import Bundle
from kuaixun.export.bundle.writer import write_student
from kuaixun.export.checkpoint import CheckpointRecord
from kuaixun.export.further.outputs import FURTHER_OUTPUTS, require
from kuaixun.export.student.quantisation import with_best_scales
from kuaixun.export.student.tracing import convolutional_module
from kuaixun.schemas.manifest import Manifest, Training
from kuaixun.trainer.data.labelled_texts import DataSplit
from kuaixun.trainer.evaluation.calibration import fit_temperature
from kuaixun.trainer.evaluation.figures import Evaluation
from kuaixun.trainer.evaluation.precision_costs import measure_precision
from kuaixun.trainer.fitting.encoded_texts import EncodedTexts, encode
from kuaixun.trainer.fitting.training import logits_of
from kuaixun.trainer.student.deployed_figures import measure_deployed
from kuaixun.trainer.student.pruning import Student
from kuaixun.trainer.versions import library_versions


def write_pruned(
    folder: Path,
    bundle: Bundle,
    student: Student,
    split: DataSplit,
    dev: EncodedTexts,
    *,
    command: str,
    say: Callable[[str], None],
) -> tuple[Manifest, dict[str, Evaluation]]:
    """Write what is left of a bundle's student as the new folder; returns its manifest and its figures by role.

    `command` is recorded after the one that the bundle was made with, with the files and versions of both. Further
    outputs that the bundle has are made anew. Raises what `write_bundle` raises.
    """
    manifest = bundle.manifest
    also = [output for output in FURTHER_OUTPUTS.values() if output.file in manifest.files]
    require(also)  # before the work that they come after
    module = convolutional_module(student.architecture, student.weights)
    temperature = fit_temperature(logits_of(module, dev), dev.label_ids)
    measured = {"dev": (split.dev, dev)}
    if split.test is not None:
        measured["test"] = (split.test, encode(bundle.pipeline, split.test))
    figures = {
        role: measure_deployed(module, encoded, data, split.train, temperature)
        for role, (data, encoded) in measured.items()
    }
    say("choosing the int8 scales, and measuring what each precision costs, on the dev texts")
    weights = with_best_scales(student.weights, dev.ids.numpy())
    record = CheckpointRecord(
        labels=manifest.labels,
        text=manifest.text,
        architecture=student.architecture,
        temperature=temperature,
        precision=measure_precision(weights, student.architecture, dev.ids.numpy(), dev.label_ids.numpy()),
        metrics={role: evaluation.metrics() for role, evaluation in figures.items()},
        training=Training(
            command=f"{manifest.training.command} && {command}",
            seed=manifest.training.seed,
            versions=_versions(manifest.training.versions),
            data=tuple(dict.fromkeys((*manifest.training.data, *split.files))),
            label_counts=manifest.training.label_counts,
        ),
    )
    origin = origin_of(bundle.read_file(MODEL_CARD_FILE).decode(errors="replace"))
    return write_student(folder, record, bundle.pipeline, weights, origin=origin, also=also), figures


def _versions(of_the_training: Mapping[str, str]) -> dict[str, str]:
    """Those that it was trained with, and those of this where they are others."""
    here = library_versions("torch", "numpy")
    others = {f"{name} (pruning)": version for name, version in here.items() if of_the_training.get(name) != version}
    return {**of_the_training, **others}
