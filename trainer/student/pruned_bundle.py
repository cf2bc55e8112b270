"""A pruned student as a bundle of its own: calibrated, measured and described anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from kuaixun.export.bundle.file_names import MODEL_CARD_FILE
from kuaixun.export.bundle.model_card import origin_of
from kuaixun.export.bundle.reader import Bundle
from kuaixun.export.bundle.writer import write_student
from kuaixun.export.further.outputs import FURTHER_OUTPUTS, require
from kuaixun.schemas.manifest import Manifest, Training
from kuaixun.trainer.data.labelled_texts import DataSplit
from kuaixun.trainer.evaluation.figures import Evaluation
from kuaixun.trainer.student.deployed import DeployedStudent
from kuaixun.trainer.student.description import describe, encoded_parts
from kuaixun.trainer.versions import library_versions


def write_pruned(
    folder: Path,
    bundle: Bundle,
    student: DeployedStudent,
    split: DataSplit,
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
    training = Training(
        command=f"{manifest.training.command} && {command}",
        seed=manifest.training.seed,
        versions=_versions(manifest.training.versions),
        data=tuple(dict.fromkeys((*manifest.training.data, *split.files))),
        label_counts=manifest.training.label_counts,
    )
    described = describe(student, bundle.pipeline, split, encoded_parts(bundle.pipeline, split), training, say)
    origin = origin_of(bundle.read_file(MODEL_CARD_FILE).decode(errors="replace"))
    written = write_student(folder, described.record, bundle.pipeline, described.weights, origin=origin, also=also)
    return written, described.figures


def _versions(of_the_training: Mapping[str, str]) -> dict[str, str]:
    """Those that it was trained with, and those of this where they are others."""
    here = library_versions("torch", "numpy")
    others = {f"{name} (pruning)": version for name, version in here.items() if of_the_training.get(name) != version}
    return {**of_the_training, **others}
