"""Building a bundle from a checkpoint: deploy the weights, trace, record golden cases, describe, hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import torch

from kuaixun.export.bundle.file_names import GOLDEN_FILE, MANIFEST_FILE, MODEL_CARD_FILE, TORCHSCRIPT_FILE, WEIGHTS_FILE
from kuaixun.export.bundle.golden import GOLDEN_TEXTS, golden_to_file, record_golden
from kuaixun.export.bundle.limits import MANIFEST_LIMIT_BYTES, check_sizes
from kuaixun.export.bundle.model_card import model_card
from kuaixun.export.checkpoint import Checkpoint, CheckpointRecord
from kuaixun.export.engine.torchscript import TorchScriptEngine
from kuaixun.export.errors import BundleError, CheckpointError
from kuaixun.export.further.check import check_output
from kuaixun.export.further.outputs import FurtherOutput, make, require
from kuaixun.export.new_folder import expect_writable, write_folder
from kuaixun.export.student.tracing import from_torchscript_file, to_torchscript_file
from kuaixun.export.student.weights import StudentWeights
from kuaixun.export.text.files import pipeline_to_files
from kuaixun.export.text.pipeline import TextPipeline
from kuaixun.schemas.manifest import FileEntry, Manifest


def write_bundle(
    folder: Path, checkpoint: Checkpoint, *, origin: str = "", also: Sequence[FurtherOutput] = ()
) -> Manifest:
    """Write a checkpoint as a new bundle folder, whole or not at all, and return its manifest.

    `origin` is a sentence or two for the model card about where the data comes from; `also` are further outputs to put
    beside the bundle's own files, each of which must pass the golden cases first. Raises CheckpointError where the
    checkpoint does not fit together, EngineError where an output cannot be made here, BundleError where one cannot be
    loaded again or gives other answers, FileExistsError where the folder exists.
    """
    weights = checkpoint.deployed()
    return write_student(folder, checkpoint.record, checkpoint.pipeline, weights, origin=origin, also=also)


def write_student(
    folder: Path,
    record: CheckpointRecord,
    pipeline: TextPipeline,
    weights: StudentWeights,
    *,
    origin: str = "",
    also: Sequence[FurtherOutput] = (),
) -> Manifest:
    """The same of weights that are rounded already, as those of another bundle are."""
    require(also)
    expect_writable(folder)
    student = to_torchscript_file(record.architecture, weights)
    cpu = torch.device("cpu")
    reference = TorchScriptEngine("reference", from_torchscript_file(student, cpu), cpu, pipeline, record.temperature)
    golden = record_golden(GOLDEN_TEXTS, pipeline, reference)
    files = {
        **pipeline_to_files(pipeline),
        TORCHSCRIPT_FILE: student,
        WEIGHTS_FILE: weights.to_safetensors(record.architecture),
        GOLDEN_FILE: golden_to_file(golden),
    }
    for output in also:
        content = files[output.file] = make(output, record.architecture, weights)
        check_output(output, content, golden, pipeline, folder)
    manifest = Manifest(
        model_id="",
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        labels=record.labels,
        text=record.text,
        architecture=record.architecture,
        temperature=record.temperature,
        precision=record.precision,
        metrics=record.metrics,
        training=record.training,
        files={name: _entry(content) for name, content in files.items()},
    )
    files[MODEL_CARD_FILE] = model_card(manifest, origin).encode()
    entries = {**manifest.files, MODEL_CARD_FILE: _entry(files[MODEL_CARD_FILE])}
    manifest = msgspec.structs.replace(manifest, files=dict(sorted(entries.items())))
    manifest = msgspec.structs.replace(manifest, model_id=manifest.content_id())
    files[MANIFEST_FILE] = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    _expect_readable(folder, manifest, files)
    write_folder(folder, files)
    return manifest


def _expect_readable(folder: Path, manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Raise CheckpointError where the bundle would be one that readers refuse for its weight."""
    try:
        check_sizes(manifest, folder / MANIFEST_FILE)
    except BundleError as error:
        raise CheckpointError(f"the checkpoint makes a bundle that nobody reads: {error}") from error
    if len(files[MANIFEST_FILE]) > MANIFEST_LIMIT_BYTES:
        raise CheckpointError(
            f"the checkpoint makes a manifest of {len(files[MANIFEST_FILE])} bytes, and no more than "
            f"{MANIFEST_LIMIT_BYTES} are read"
        )


def _entry(content: bytes) -> FileEntry:
    return FileEntry(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
