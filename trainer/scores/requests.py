"""Files to score and where their scores go: `--score FILE=OUT`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kuaixun.export.real_path import real_path
from kuaixun.trainer.data.content_hash import sha256_of_texts
from kuaixun.trainer.data.labelled_texts import CsvColumns
from kuaixun.trainer.data.text_lines import read_text_lines
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.output_folder import refuse_unwritable_file
from kuaixun.trainer.scores.processes import is_first_process
from kuaixun.trainer.scores.teacher_scores import LOWER_RATE, TeacherScores, as_half, write_scores

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """Score the rows of `data` and write them as the new file `out`."""

    data: Path
    out: Path


@dataclass(frozen=True, slots=True)
class FileToScore:
    """A file's texts, row by row as a student will read them, its name, and where its scores go."""

    texts: tuple[str, ...]
    name: str
    out: Path


def read_requests(requests: tuple[ScoreRequest, ...], columns: CsvColumns) -> tuple[FileToScore, ...]:
    """Read every file, before any training. Raises DataError, and SettingError for an output that is there already."""
    outputs = [real_path(request.out) for request in requests]
    for request, output in zip(requests, outputs, strict=True):
        if outputs.count(output) > 1:
            raise SettingError(f"--score: {request.out} is named twice; give each file an output of its own")
        if is_first_process():  # which may have written its scores before another comes here
            refuse_unwritable_file("--score", request.out)
    return tuple(_read(request, columns) for request in requests)


def write_file_scores(
    file: FileToScore,
    logits: NDArray[np.float32],
    labels: tuple[str, ...],
    teacher: str,
    folds: int,
    say: Say,
    *,
    where_no_number: str = LOWER_RATE,
) -> None:
    """Write one file's scores, logits (rows, classes), and tell. Raises OSError, and ScoresError as `write_scores`."""
    texts_sha256 = sha256_of_texts(file.texts)
    scores = TeacherScores(as_half(logits), file.name, texts_sha256, labels, teacher, folds)
    write_scores(file.out, scores, where_no_number=where_no_number)
    say(f"scores of {len(logits)} rows of {file.name}: {file.out}")


def _read(request: ScoreRequest, columns: CsvColumns) -> FileToScore:
    found = read_text_lines(request.data, columns.text)
    return FileToScore(found.texts, request.data.name, request.out)
