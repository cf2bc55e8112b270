"""What a teacher's folder says of it, whatever kind of teacher it is: a pretrained model, a network, a student."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from kuaixun.export.checkpoint import RECORD_FILE as STUDENT_RECORD_FILE
from kuaixun.export.checkpoint import CheckpointRecord
from kuaixun.schemas.manifest import Training
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.network.folder import RECORD_FILE as NETWORK_RECORD_FILE
from kuaixun.trainer.network.folder import read_record as read_network_record
from kuaixun.trainer.teacher.folder import read_record


@dataclass(frozen=True, slots=True)
class AboutTeacher:
    """What it is, in two words and in a line; its figures by role; how it was trained."""

    kind: str
    settings: str
    metrics: dict[str, dict[str, float]]
    training: Training


def about_teacher(folder: Path) -> AboutTeacher:
    """Read the record of any kind. Raises SettingError for a folder that holds none."""
    if (folder / STUDENT_RECORD_FILE).exists():
        return _student(folder / STUDENT_RECORD_FILE)
    if (folder / NETWORK_RECORD_FILE).exists():
        return _network(folder)
    record = read_record(folder)
    chosen = record.settings
    settings = (
        f"encoder {record.encoder}, head {chosen.head}, layers {chosen.train_layers}, {chosen.epochs} epochs of "
        f"batches of {chosen.batch_size}, learning rate {chosen.learning_rate}, kept from step {record.best_step}"
    )
    return AboutTeacher(record.encoder, settings, record.metrics, record.training)


def _network(folder: Path) -> AboutTeacher:
    record = read_network_record(folder)
    kind, chosen = f"{record.shape.kind} network", record.settings
    settings = (
        f"{kind} of {record.shape.features} features, {chosen.epochs} epochs of batches of {chosen.batch_size}, "
        f"learning rate {chosen.learning_rate}, kept from step {record.best_step}"
    )
    return AboutTeacher(kind, settings, record.metrics, record.training)


def _student(path: Path) -> AboutTeacher:
    try:
        record = msgspec.json.decode(path.read_bytes(), type=CheckpointRecord)
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise SettingError(f"{path}: no record of a student: {error}") from None
    shape = record.architecture
    buckets = f", {1 << shape.ngrams.bucket_bits} buckets of n-grams" if shape.ngrams else ""
    settings = f"student of {shape.filters} filters of widths {', '.join(map(str, shape.widths))}{buckets}"
    return AboutTeacher("student", settings, record.metrics, record.training)
