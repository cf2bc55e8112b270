"""How a network is taught in folds: see kuaixun.trainer.scores.cross_fitting."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kuaixun.trainer.interrupts import interrupts_between_steps
from kuaixun.trainer.network.folder import read_network, read_record, write_network
from kuaixun.trainer.network.job import NetworkJob, measured, read_rows, train_network
from kuaixun.trainer.network.scoring import scorer_of_network
from kuaixun.trainer.scores.cross_fitting import CrossFitting, Fold, FoldEnd, expect_same, hashes_of
from kuaixun.trainer.scores.taught import sha256_of_rows


def in_folds(job: NetworkJob, folds: int) -> CrossFitting:
    """Read train, dev and test, once for all folds. Raises DataError where cleaning leaves nothing of one."""
    reading = read_rows(job)

    def teach(fold: Fold, rows: NDArray[np.int64]) -> FoldEnd:
        train = reading.encoded["train"].of_rows(rows)
        module, done, history = train_network(job, reading, train, fold=fold.number)
        interrupted = done.interrupted
        if not interrupted:
            # A fold that is trained to its end is written even where Ctrl-C comes now; a second one gives it up.
            with interrupts_between_steps() as asked_to_stop:
                network = measured(job, reading, module, done, fold=fold.number, folds=fold.folds)
                write_network(fold.folder, network, history)
            interrupted = asked_to_stop()
        return FoldEnd(done.steps_done, done.best.steps, interrupted)

    return CrossFitting(
        split=job.split,
        folds=folds,
        seed=job.settings.seed,
        output=job.output,
        device=job.device,
        advancing=job.advancing,
        say=job.say,
        is_finished=lambda fold: _is_finished(job, fold),
        teach=teach,
        open_teacher=lambda folder: scorer_of_network(read_network(folder)),
    )


def _is_finished(job: NetworkJob, fold: Fold) -> bool:
    if not fold.folder.exists():
        return False
    record = read_record(fold.folder)
    found = (record.labels, record.shape, record.settings, record.word_learning_rate, record.fold, record.folds)
    wanted = (job.split.train.labels, job.shape, job.settings, job.word_learning_rate, fold.number, fold.folds)
    found_rows = (record.rows_sha256, hashes_of(record.training.data))
    wanted_rows = (sha256_of_rows(job.split), hashes_of(job.files))
    expect_same(fold.folder, (*found, *found_rows), (*wanted, *wanted_rows))
    return True
