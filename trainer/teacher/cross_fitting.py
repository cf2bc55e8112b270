"""k teachers on k times all rows but one fold, and the out-of-fold scores that they give: `--folds k`.

Each teacher is a folder of its own, `fold-1` to `fold-k` in the output. One that is there already, from the same
command, is not trained again: hours of work outlive an interruption.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.output_folder import refuse_unwritable
from kuaixun.trainer.teacher.fine_tuning import FineTuned
from kuaixun.trainer.teacher.folder import Teacher, read_record, size_bytes, write_teacher
from kuaixun.trainer.teacher.folds import fold_of_rows, out_of_fold
from kuaixun.trainer.teacher.job import (
    Reading,
    TeacherJob,
    figures_of,
    fine_tune_rows,
    new_classifier,
    read_rows,
    record_of,
    write_file_scores,
)
from kuaixun.trainer.teacher.score_files import ScoredFile
from kuaixun.trainer.teacher.scorers import mean_logits, open_scorer
from kuaixun.trainer.teacher.scores import SEEN
from kuaixun.trainer.teacher.scoring import measure, score


def cross_fit(job: TeacherJob, files: Sequence[ScoredFile], folds: int) -> FineTuned | None:
    """Train the teachers that are missing, measure, score the files; None where there was nothing to train.

    Rows of the training file get out-of-fold scores, all others the mean of all teachers. Returns the last training;
    an interrupted one leaves the folders of the finished folds and writes no scores. Raises TrainerError.
    """
    train = job.split.train
    fold = fold_of_rows(train.texts, train.label_ids, folds, job.settings.seed)
    reading = read_rows(job)
    folders = [job.output / f"fold-{number + 1}" for number in range(folds)]
    for folder in job.output.iterdir() if job.output.is_dir() else ():
        if folder not in folders:
            raise SettingError(f"--output: {folder} is none of --folds {folds}; name a new folder or remove it")
    done = None
    for number, folder in enumerate(folders):
        if _is_finished(job, folder, number + 1, folds):
            job.say(f"fold {number + 1} of {folds}: {folder} is there already")
            continue
        job.say(f"fold {number + 1} of {folds}: learning from {int((fold != number).sum())} rows")
        done = _teach_fold(job, reading, folder, np.flatnonzero(fold != number), number + 1, folds)
        if done.interrupted:
            return done
    if done is None or done.writes:
        _score(job, reading, files, fold, folders)
    return done


def _teach_fold(
    job: TeacherJob, reading: Reading, folder: Path, rows: NDArray[np.int64], number: int, folds: int
) -> FineTuned:
    model = new_classifier(job, reading)
    refuse_unwritable(folder, size_bytes(model))
    done = fine_tune_rows(job, reading, model, rows)
    if done.writes and not done.interrupted:
        classes = len(job.split.train.labels)
        logits = {"dev": score(model, reading.rows["dev"], classes, reading.pad_id, job.device)}
        record = record_of(job, done, figures_of(job, reading, logits), fold=number, folds=folds)
        write_teacher(folder, Teacher(model, reading.tokenizer, record), done.history)
    return done


def _is_finished(job: TeacherJob, folder: Path, number: int, folds: int) -> bool:
    """Whether the fold's teacher is there. Raises SettingError for a teacher of another training."""
    if not folder.exists():
        return False
    record = read_record(folder)
    files = [(file.role, file.sha256) for file in record.training.data]
    wanted = [(role, data.sha256) for role, data in job.split.parts.items()]
    same = (record.settings, record.labels, record.encoder, record.fold, record.folds, files) == (
        job.settings,
        job.split.train.labels,
        Path(job.encoder).name,
        number,
        folds,
        wanted,
    )
    if not same:
        raise SettingError(f"--output: {folder} is a teacher of other data or settings; name a new folder or remove it")
    return True


def _score(
    job: TeacherJob, reading: Reading, files: Sequence[ScoredFile], fold: NDArray[np.int64], folders: Sequence[Path]
) -> None:
    """Figures of dev, test and the unseen parts of train; then the files."""
    train, classes = job.split.train, len(job.split.train.labels)
    teachers = [open_scorer(folder) for folder in folders]

    def by_the_unseen(number: int, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return mean_logits([teachers[number]], [train.texts[row] for row in rows.tolist()], job.device)

    unseen = out_of_fold(fold, classes, by_the_unseen)
    accuracy = measure(unseen, reading.rows["train"].filled, train, _nothing_seen(train)).accuracy
    job.say(f"train, out of fold: accuracy {accuracy:.4f}")
    others = [role for role in job.split.parts if role != "train"]
    figures_of(job, reading, {role: mean_logits(teachers, job.split.parts[role].texts, job.device) for role in others})
    for file in files:
        if file.sha256 == train.sha256:
            write_file_scores(file, unseen, teachers[0], len(folders), job.say)
        else:
            write_file_scores(file, mean_logits(teachers, file.texts, job.device), teachers[0], SEEN, job.say)


def _nothing_seen(train: LabelledTexts) -> LabelledTexts:
    """No training texts, for a score over rows of the training file itself."""
    return LabelledTexts((), train.label_ids[:0], train.labels, train.source, train.sha256)
