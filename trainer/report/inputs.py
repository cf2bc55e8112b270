"""What other commands wrote and the report shows again: read, and held against the texts that it is about.

A figure measured on another test file would stand on the page as if it could be compared: its file is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import msgspec

from kuaixun.export.checkpoint import RECORD_FILE, CheckpointRecord
from kuaixun.schemas.manifest import Training
from kuaixun.trainer.answering.models import folder_bytes
from kuaixun.trainer.baselines.measured import Baselines
from kuaixun.trainer.data.analysis import Analysis
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.errors import DataError
from kuaixun.trainer.fitting.history import read_history
from kuaixun.trainer.fitting.watching import DevFigures
from kuaixun.trainer.report.teacher_records import AboutTeacher, about_teacher

BASELINE_FILE = "baseline.json"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Run:
    """A checkpoint folder: what it says of itself, how its training went, whether the bundle was built from it."""

    name: str
    record: CheckpointRecord
    history: tuple[DevFigures, ...]
    ships: bool


@dataclass(frozen=True, slots=True)
class TeacherFolder:
    """The folder of a teacher of any kind, of which `about` tells; what it takes on disk, how its training went.

    Of so many `folds`, which lie in one folder, the figures are means and the size is that of all.
    """

    path: Path
    about: AboutTeacher
    size_bytes: int
    history: tuple[DevFigures, ...]
    folds: int = 0

    @property
    def name(self) -> str:
        """The folder's."""
        return self.path.resolve().name


def read_analysis(path: Path, test: LabelledTexts) -> Analysis:
    """What `analyse --json` printed. Raises DataError, also where it looked at another test file."""
    analysis = _decode(path, Analysis, "analyse --json")
    _expect_same(path, ((file.role, file.sha256) for file in analysis.files), test)
    return analysis


def read_baselines(folder: Path, test: LabelledTexts) -> Baselines:
    """What `baseline --output` wrote. Raises DataError, also for figures of another test file."""
    path = folder / BASELINE_FILE
    baselines = _decode(path, Baselines, "baseline --output")
    _expect_same(path, ((file.role, file.sha256) for file in baselines.data), test)
    return baselines


def read_run(folder: Path, test: LabelledTexts, training: Training) -> Run:
    """A checkpoint's record and history. `training` is the bundle's, to tell whether it was built from this run.

    Raises DataError, also for figures of another test file.
    """
    path = folder / RECORD_FILE
    record = _decode(path, CheckpointRecord, "distil --output")
    _expect_same_training(path, record.training, test)
    return Run(folder.resolve().name, record, read_history(folder), record.training == training)


def read_teacher_folder(folder: Path, test: LabelledTexts) -> TeacherFolder:
    """The record and size of a teacher, a network, or a student that taught, or of those of folds.

    Raises SettingError, and DataError for figures of another test file.
    """
    members = sorted(folder.glob("fold-*")) or [folder]
    records = [about_teacher(member) for member in members]
    for member, about in zip(members, records, strict=True):
        _expect_same_training(member, about.training, test)
    size_bytes = sum(folder_bytes(member) for member in members)
    if members == [folder]:
        return TeacherFolder(folder, records[0], size_bytes, read_history(folder))
    return TeacherFolder(folder, _of_folds(records), size_bytes, (), len(records))


def _of_folds(records: Sequence[AboutTeacher]) -> AboutTeacher:
    """The first one, with the means of all for its figures; a figure that one of them lacks is left out."""
    first = records[0]
    metrics = {
        role: {
            name: sum(one.metrics[role][name] for one in records) / len(records)
            for name in figures
            if all(name in one.metrics.get(role, {}) for one in records)
        }
        for role, figures in first.metrics.items()
    }
    return replace(first, metrics=metrics, settings=f"{len(records)} folds, each: {first.settings}")


def _decode(path: Path, kind: type[T], command: str) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read: {error.strerror or error}; kuaixun-trainer {command} makes it"
        ) from None
    except (msgspec.DecodeError, ValueError) as error:
        raise DataError(f"{path}: not what kuaixun-trainer {command} writes: {error}") from None


def _expect_same_training(path: Path, training: Training, test: LabelledTexts) -> None:
    _expect_same(path, ((file.role, file.sha256) for file in training.data), test)


def _expect_same(path: Path, files: Iterable[tuple[str, str]], test: LabelledTexts) -> None:
    """Raise DataError where there is a test file (role, SHA-256) and it is not this one."""
    for role, sha256 in files:
        if role == "test" and sha256 != test.sha256:
            raise DataError(
                f"{path}: holds figures of another test file (SHA-256 {sha256[:12]}…, {test.source} has "
                f"{test.sha256[:12]}…); name the file that it was measured on, or leave it away"
            )
