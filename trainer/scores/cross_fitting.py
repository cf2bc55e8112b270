"""k teachers on k times all rows but one fold, and the out-of-fold scores that they give: `--folds k`.

Each teacher is a folder of its own, `fold-1` to `fold-k` in the output. One that is there already, from the same
command, is not trained again: hours of work outlive an interruption.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from kuaixun.schemas.manifest import DataFile
from kuaixun.trainer.advance import Advancing
from kuaixun.trainer.data.cleaning import clean
from kuaixun.trainer.data.labelled_texts import DataSplit, LabelledTexts
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.scores.folds import fold_of_rows, out_of_fold
from kuaixun.trainer.scores.measured import measure, nothing_seen
from kuaixun.trainer.scores.processes import is_first_process
from kuaixun.trainer.scores.requests import FileToScore, Say, write_file_scores
from kuaixun.trainer.scores.scorer import Scorer, mean_logits, score_files


@dataclass(frozen=True, slots=True)
class FoldEnd:
    """The end of one fold's training."""

    steps_done: int
    steps: int
    interrupted: bool


@dataclass(frozen=True, slots=True)
class Fold:
    """A fold by its number, from 1, of so many, and the folder of the teacher that leaves it out."""

    number: int
    folds: int
    folder: Path


@dataclass(frozen=True, slots=True, eq=False)
class CrossFitting:
    """What is to be taught in folds, and how one kind of teacher does it.

    `is_finished` says whether a fold's teacher is there, and raises SettingError for one of another training.
    `teach` trains one on these rows of train, and writes its folder unless it is interrupted before its end;
    `open_teacher` opens that folder.
    """

    split: DataSplit
    folds: int
    seed: int
    output: Path
    device: torch.device
    advancing: Advancing
    say: Say
    is_finished: Callable[[Fold], bool]
    teach: Callable[[Fold, NDArray[np.int64]], FoldEnd]
    open_teacher: Callable[[Path], Scorer]


def cross_fit(job: CrossFitting, files: Sequence[FileToScore]) -> FoldEnd | None:
    """Train the teachers that are missing, measure, score the files; None where there was nothing to train.

    Rows of the training file get out-of-fold scores, all others the mean of all teachers; of several processes one
    scores. Returns the last training; an interrupted one leaves the folders of the finished folds and writes no
    scores. Raises TrainerError.
    """
    train = job.split.train
    fold_of_row = fold_of_rows(train.texts, train.label_ids, job.folds, job.seed)
    folds = [Fold(number, job.folds, job.output / f"fold-{number}") for number in range(1, job.folds + 1)]
    _refuse_strangers(job, [fold.folder for fold in folds])
    done = None
    for fold in folds:
        place = f"fold {fold.number} of {fold.folds}"
        if job.is_finished(fold):
            job.say(f"{place}: {fold.folder} is there already")
            continue
        rows = np.flatnonzero(fold_of_row != fold.number - 1)
        job.say(f"{place}: learning from {len(rows)} rows")
        done = job.teach(fold, rows)
        if done.interrupted:
            return done
    if is_first_process():
        _score(job, files, fold_of_row, [job.open_teacher(fold.folder) for fold in folds])
    return done


def expect_same(folder: Path, found: object, wanted: object) -> None:
    """Raise SettingError where the teacher in a fold's folder is not what this training would make."""
    if found != wanted:
        raise SettingError(f"--output: {folder} is a teacher of other data or settings; name a new folder or remove it")


def hashes_of(files: Sequence[DataFile]) -> list[tuple[str, str]]:
    """What the files of a training are known by: a role and a SHA-256 each, whatever they are called."""
    return [(file.role, file.sha256) for file in files]


def _refuse_strangers(job: CrossFitting, folders: Sequence[Path]) -> None:
    """Raise SettingError for what is none of these folds; what a killed training left half-written may stay."""
    for path in job.output.iterdir() if job.output.is_dir() else ():
        if path not in folders and not path.name.startswith(".fold-"):
            raise SettingError(f"--output: {path} is none of --folds {job.folds}; name a new folder or remove it")


def _score(
    job: CrossFitting, files: Sequence[FileToScore], fold_of_row: NDArray[np.int64], teachers: Sequence[Scorer]
) -> None:
    """Figures of dev, test and the unseen parts of train; then the files."""
    train, command = job.split.train, teachers[0].training.command

    def by_the_unseen(number: int, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        texts = [train.texts[row] for row in rows.tolist()]
        with job.advancing(f"scores of the rows that fold {number + 1} has not seen") as advance:
            return mean_logits([teachers[number]], texts, job.device, advance)

    unseen = out_of_fold(fold_of_row, len(train.labels), by_the_unseen)
    accuracy = measure(unseen, _filled(train), train, nothing_seen(train)).accuracy
    job.say(f"train, out of fold: accuracy {accuracy:.4f}")
    for role, data in job.split.parts.items():
        if role != "train":
            with job.advancing(f"scores of {role}") as advance:
                logits = mean_logits(teachers, data.texts, job.device, advance)
            job.say(f"{role}: {measure(logits, _filled(data), data, train).told()}")
    for file in files:
        if file.texts == train.texts:
            write_file_scores(file, unseen, train.labels, command, job.folds, job.say)
        else:
            score_files(teachers, [file], job.device, job.advancing, job.say)


def _filled(data: LabelledTexts) -> NDArray[np.bool_]:
    """Which rows (n,) cleaning leaves something of."""
    return np.array([bool(text) for text in clean(data.texts)])
