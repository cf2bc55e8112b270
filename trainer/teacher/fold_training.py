"""How a pretrained model is taught in folds: see cross_fitting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kuaixun.trainer.fitting.weights import size_bytes
from kuaixun.trainer.interrupts import interrupts_between_steps
from kuaixun.trainer.output_folder import refuse_unwritable
from kuaixun.trainer.scores.cross_fitting import CrossFitting, Fold, FoldEnd, expect_same, hashes_of
from kuaixun.trainer.scores.taught import sha256_of_rows
from kuaixun.trainer.teacher.folder import Teacher, read_record, read_teacher, write_teacher
from kuaixun.trainer.teacher.job import (
    Reading,
    TeacherJob,
    figures_of,
    fine_tune_rows,
    new_classifier,
    read_rows,
    record_of,
    scores_of,
)
from kuaixun.trainer.teacher.scoring import scorer_of


def in_folds(job: TeacherJob, folds: int) -> CrossFitting:
    """Read train and dev, once for all folds. Raises SettingError for an encoder that cannot be opened."""
    reading = read_rows(job)

    def teach(fold: Fold, rows: NDArray[np.int64]) -> FoldEnd:
        return _teach(job, reading, fold, rows)

    return CrossFitting(
        split=job.split,
        folds=folds,
        seed=job.settings.seed,
        output=job.output,
        device=job.device,
        advancing=job.advancing,
        say=job.say,
        is_finished=lambda fold: _is_finished(job, reading, fold),
        teach=teach,
        open_teacher=lambda folder: scorer_of(read_teacher(folder)),
    )


def _teach(job: TeacherJob, reading: Reading, fold: Fold, rows: NDArray[np.int64]) -> FoldEnd:
    model = new_classifier(job, reading)
    refuse_unwritable(fold.folder, size_bytes(model))
    done = fine_tune_rows(job, reading, model, rows)
    interrupted = done.interrupted
    if done.writes and not interrupted:
        # A fold that is trained to its end is written even where Ctrl-C comes now; a second one gives it up.
        with interrupts_between_steps() as asked_to_stop:
            logits = {"dev": scores_of(job, reading, model, "dev", job.device)}
            record = record_of(job, reading, done, figures_of(job, reading, logits), fold=fold.number, folds=fold.folds)
            write_teacher(fold.folder, Teacher(model, reading.tokenizer, record), done.history)
        interrupted = asked_to_stop()
    return FoldEnd(done.steps_done, done.best.steps, interrupted)


def _is_finished(job: TeacherJob, reading: Reading, fold: Fold) -> bool:
    if not fold.folder.exists():
        return False
    record = read_record(fold.folder)
    files = hashes_of(record.training.data)
    found = (record.settings, record.labels, record.encoder, record.fold, record.folds, record.rows_sha256, files)
    wanted = (job.settings, job.split.train.labels, Path(job.encoder).name, fold.number, fold.folds)
    expect_same(fold.folder, found, (*wanted, sha256_of_rows(job.split), hashes_of(reading.files)))
    return True
