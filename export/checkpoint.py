"""The hand-over from trainer to exporter: a trained TextCNN as a folder, in full precision and without code.

checkpoint.json       labels, text parameters, architecture, temperature, metrics, how it was trained
weights.safetensors   the module's state: float32, and int16 for the owners of n-gram buckets; and the int8 scales
codepoints.tsv, patterns.json, vocabulary.tsv   the text pipeline that the training texts went through

Whatever else lies in the folder, such as how the training went, is the trainer's own and no part of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from kuaixun.export.bundle.file_names import CHECKPOINT_FILE
from kuaixun.export.errors import CheckpointError
from kuaixun.export.new_folder import write_folder
from kuaixun.export.student.weights import StudentWeights
from kuaixun.export.text.file_names import PIPELINE_FILES
from kuaixun.export.text.files import pipeline_from_files, pipeline_to_files
from kuaixun.export.text.pipeline import TextPipeline
from kuaixun.schemas.manifest import Architecture, Label, Precision, Temperature, TextParameters, Training

RECORD_FILE = CHECKPOINT_FILE
WEIGHTS_FILE = "weights.safetensors"
T = TypeVar("T")


class CheckpointRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about a trained student but its numbers. `metrics` maps a data role to named figures.

    Raises ValueError for a student that is too large to serve with so many labels.
    """

    labels: Annotated[tuple[Label, ...], msgspec.Meta(min_length=2)]
    text: TextParameters
    architecture: Architecture
    temperature: Temperature
    precision: Precision
    metrics: dict[str, dict[str, float]]
    training: Training

    def __post_init__(self) -> None:
        self.architecture.expect_servable(len(self.labels))


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A trained student: `state` is the TextCNN's `state_dict` as arrays, and `convolutions.N.scales` (filters,)
    float32 beside each convolution: what `StudentWeights.from_trained` takes.
    """

    record: CheckpointRecord
    pipeline: TextPipeline
    state: Mapping[str, NDArray[Any]]

    def deployed(self) -> StudentWeights:
        """The numbers that a bundle holds. Raises CheckpointError where they do not fit the record."""
        try:
            weights = StudentWeights.from_trained(self.state, self.record.architecture)
        except KeyError as error:
            raise CheckpointError(f"the checkpoint's weights lack the tensor {error}") from error
        except (IndexError, TypeError, ValueError) as error:
            raise CheckpointError(f"the checkpoint's weights do not fit its architecture: {error}") from error
        if len(weights.linear_bias) != len(self.record.labels):
            raise CheckpointError(
                f"the checkpoint scores {len(weights.linear_bias)} classes and names {len(self.record.labels)}"
            )
        return weights


def write_checkpoint(folder: Path, checkpoint: Checkpoint, further: Mapping[str, bytes] | None = None) -> None:
    """Write a new folder, whole or not at all, with `further` files by name that no reader here needs.

    Raises OSError, FileExistsError where the folder holds something.
    """
    files = pipeline_to_files(checkpoint.pipeline)
    files[RECORD_FILE] = msgspec.json.format(msgspec.json.encode(checkpoint.record), indent=2) + b"\n"
    files[WEIGHTS_FILE] = safetensors.numpy.save(
        {name: np.ascontiguousarray(tensor) for name, tensor in checkpoint.state.items()}
    )
    write_folder(folder, {**files, **(further or {})})


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read what `write_checkpoint` wrote. Raises CheckpointError naming the file and the reason."""
    try:
        record = _parse(folder / RECORD_FILE, lambda content: msgspec.json.decode(content, type=CheckpointRecord))
        pipeline = pipeline_from_files(record.text, {name: (folder / name).read_bytes() for name in PIPELINE_FILES})
        state = _parse(folder / WEIGHTS_FILE, safetensors.numpy.load)
    except OSError as error:
        raise CheckpointError(f"{folder} is no checkpoint: {error.strerror}: {error.filename}") from error
    except ValueError as error:
        raise CheckpointError(f"the checkpoint {folder} does not fit together: {error}") from error
    if len(pipeline.vocabulary) != record.architecture.vocabulary_size:
        raise CheckpointError(
            f"the checkpoint {folder} has a vocabulary of {len(pipeline.vocabulary)} entries and an architecture for "
            f"{record.architecture.vocabulary_size}"
        )
    return Checkpoint(record, pipeline, state)


def _parse(path: Path, parse: Callable[[bytes], T]) -> T:
    """What a file holds. Raises ValueError with its name."""
    content = path.read_bytes()
    try:
        return parse(content)
    except (msgspec.DecodeError, ValueError, KeyError, RecursionError, safetensors.SafetensorError) as error:
        raise ValueError(f"{path.name}: {error}") from error
