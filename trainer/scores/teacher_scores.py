"""Teacher scores on disk: what a teacher thinks of every row of a file, once, for every student after it.

A safetensors file: the tensor `logits` (rows, classes) float16, row i belonging to the text of row i, and strings that
say which texts those were. A reader names the texts that it has; scores of any others are refused, so that no order,
batch size, edited line or other column of a table can pair a headline with the thoughts about another. Labels are no
part of it: what a teacher thinks of a text is what it thinks, whatever label the text is found to have.

180,000 rows of ten classes are 3.6 MB. Half precision keeps three digits of a logit, ten times finer than the noise
between two trainings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from kuaixun.trainer.data.content_hash import sha256_of_texts
from kuaixun.trainer.errors import ScoresError
from kuaixun.trainer.new_file import write_new_file

FORMAT = "kuaixun-teacher-scores-2"
TENSOR = "logits"
STORED_TYPE = "F16"
SEEN = 0
MOST_FOLD_DIGITS = 4
LOWER_RATE = "lower the learning rate"
FIELDS = ("format", "data_name", "texts_sha256", "rows", "labels", "teacher", "folds")


@dataclass(frozen=True, slots=True, eq=False)
class TeacherScores:
    """Logits (rows, classes) of one file's rows, in the file's order, and where they come from.

    `labels` are the columns. `texts_sha256` is what `sha256_of_texts` makes of the rows. `teacher` is a name or a
    command. `folds` is 0 where one teacher scored rows that it had seen, or that bear no label; k where each row was
    scored by that one of k teachers which had not seen it.
    """

    logits: NDArray[np.float16]
    data_name: str
    texts_sha256: str
    labels: tuple[str, ...]
    teacher: str
    folds: int = SEEN

    def __post_init__(self) -> None:
        if self.logits.ndim != 2 or self.logits.dtype != np.float16 or self.logits.shape[1] != len(self.labels):
            raise ValueError(
                f"logits are {self.logits.dtype} {self.logits.shape}; expected float16 (rows, {len(self.labels)})"
            )

    def __len__(self) -> int:
        return len(self.logits)


def as_half(logits: NDArray[np.floating]) -> NDArray[np.float16]:
    """Logits (rows, classes) in half precision, clipped to its range of ± 65,504 in place of infinities."""
    highest = float(np.finfo(np.float16).max)
    half: NDArray[np.float16] = np.clip(logits, -highest, highest).astype(np.float16)
    return half


def write_scores(path: Path, scores: TeacherScores, *, where_no_number: str = LOWER_RATE) -> None:
    """Write a new file, whole or not at all. Raises OSError, FileExistsError where `path` is taken already.

    Raises ScoresError, with the advice `where_no_number`, for scores that no reader would take: a logit that is not a
    number.
    """
    if not np.isfinite(scores.logits).all():
        raise ScoresError(f"{path}: not written: {_first_not_finite(scores.logits)}; {where_no_number}")
    metadata = {
        "format": FORMAT,
        "data_name": scores.data_name,
        "texts_sha256": scores.texts_sha256,
        "rows": str(len(scores)),
        "labels": json.dumps(scores.labels, ensure_ascii=False),
        "teacher": scores.teacher,
        "folds": str(scores.folds),
    }
    content = safetensors.numpy.save({TENSOR: np.ascontiguousarray(scores.logits)}, metadata)
    write_new_file(path, content)


@dataclass(frozen=True, slots=True)
class ScoresHeader:
    """What a file of scores says about itself: the data's name and texts, the number of rows, the labels, whose."""

    data_name: str
    texts_sha256: str
    rows: str
    labels: tuple[str, ...]
    teacher: str
    folds: int


def read_scores_header(path: Path) -> ScoresHeader:
    """What data the scores are about. Raises ScoresError for a file that holds none."""
    return _header(path, _read(path)[0])


def read_scores(path: Path, texts: Sequence[str], labels: tuple[str, ...]) -> TeacherScores:
    """Read the scores of the texts that the reader holds. Raises ScoresError for those of any others.

    `labels` are the data's classes in the order of ids.
    """
    metadata, logits = _read(path)
    header = _header(path, metadata)
    name = header.data_name
    if header.labels != labels:
        raise ScoresError(
            f"{path}: {_other_labels(header.labels, labels)}; score {name} with a teacher of these labels"
        )
    texts_sha256 = sha256_of_texts(texts)
    if header.texts_sha256 != texts_sha256:
        raise ScoresError(
            f"{path}: holds scores of {header.rows} rows of {name} with SHA-256 {header.texts_sha256[:12]}…, "
            f"and those at hand are {len(texts)} others, {texts_sha256[:12]}…; score the data at hand, by the same "
            "--text-column"
        )
    if logits.shape != (len(texts), len(labels)):
        raise ScoresError(
            f"{path}: the logits are {logits.shape}, the data needs ({len(texts)}, {len(labels)}); score {name} anew"
        )
    if not np.isfinite(logits).all():
        raise ScoresError(f"{path}: {_first_not_finite(logits)}; score {name} anew")
    return TeacherScores(logits, name, texts_sha256, labels, header.teacher, header.folds)


def _header(path: Path, metadata: Mapping[str, str]) -> ScoresHeader:
    """The strings of a file, checked. Raises ScoresError."""
    missing = [name for name in FIELDS if name not in metadata]
    if missing or metadata["format"] != FORMAT:
        found = metadata.get("format", "none")
        raise ScoresError(f"{path}: the format is {found!r}, this version reads {FORMAT!r}; score the file anew")
    if not metadata["folds"].isdecimal() or len(metadata["folds"]) > MOST_FOLD_DIGITS:
        raise ScoresError(f"{path}: folds is {metadata['folds'][:40]!r}, no whole number; score the file anew")
    return ScoresHeader(
        metadata["data_name"],
        metadata["texts_sha256"],
        metadata["rows"],
        _labels_of(path, metadata["labels"]),
        metadata["teacher"],
        int(metadata["folds"]),
    )


def _read(path: Path) -> tuple[Mapping[str, str], NDArray[np.float16]]:
    """The strings and the tensor of a file. Raises ScoresError."""
    if path.is_dir():
        raise ScoresError(f"{path}: is a folder; name a file of scores, which --score FILE=OUT writes as OUT")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata: dict[str, str] = file.metadata() or {}
            stored = file.get_slice(TENSOR)
            kind, shape = stored.get_dtype(), tuple(stored.get_shape())
            # Before it is read: on types that numpy lacks the library fails with errors of many kinds.
            if kind != STORED_TYPE or len(shape) != 2:
                raise ScoresError(f"{path}: the logits are {kind} {shape}; expected {STORED_TYPE} (rows, classes)")
            logits: NDArray[np.float16] = file.get_tensor(TENSOR)
    except OSError as error:
        reason = str(error.strerror or error).removesuffix(f": {path}")
        raise ScoresError(f"{path}: cannot be read: {reason}") from None
    except (safetensors.SafetensorError, ValueError):
        raise ScoresError(f"{path}: no file of teacher scores, or cut off; write one with --score") from None
    return metadata, logits


def _labels_of(path: Path, text: str) -> tuple[str, ...]:
    try:
        labels = json.loads(text)
    except (ValueError, RecursionError):
        labels = None
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ScoresError(f"{path}: its labels are no JSON list of names; score the file anew")
    return tuple(labels)


def _other_labels(found: tuple[str, ...], expected: tuple[str, ...]) -> str:
    if len(found) != len(expected):
        return f"the teacher has {len(found)} classes, the data {len(expected)}"
    column = next(index for index, (one, other) in enumerate(zip(found, expected, strict=True)) if one != other)
    return f"class {column} is {found[column]!r} for the teacher, {expected[column]!r} in the data"


def _first_not_finite(logits: NDArray[np.float16]) -> str:
    row, column = np.argwhere(~np.isfinite(logits))[0].tolist()
    return f"the logit of row {row}, class {column} is {logits[row, column]}"
