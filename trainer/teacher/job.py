"""From labelled files to a teacher's folder: the body of `kuaixun-trainer teacher`.

read → tokenise once → fine-tune → measure → write, whole or not → score the files that students will learn from
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from kuaixun.schemas.manifest import DataFile, Training
from kuaixun.trainer.advance import Advancing
from kuaixun.trainer.data.content_hash import sha256_of, sha256_of_texts
from kuaixun.trainer.data.labelled_texts import DataSplit
from kuaixun.trainer.encoder.positions import expect_positions
from kuaixun.trainer.encoder.pretrained_folders import open_tokenizer
from kuaixun.trainer.evaluation.figures import Evaluation
from kuaixun.trainer.fitting.watching import Watcher
from kuaixun.trainer.fitting.weights import size_bytes
from kuaixun.trainer.interrupts import interrupts_between_steps
from kuaixun.trainer.output_folder import refuse_unwritable
from kuaixun.trainer.scores.measured import measure
from kuaixun.trainer.scores.requests import FileToScore
from kuaixun.trainer.scores.scorer import score_files
from kuaixun.trainer.scores.taught import sha256_of_rows
from kuaixun.trainer.teacher.classifiers import TeacherModel, open_classifier
from kuaixun.trainer.teacher.encoder_classifier import set_dropout
from kuaixun.trainer.teacher.fine_tuning import FineTuned, fine_tune
from kuaixun.trainer.teacher.folder import Teacher, TeacherRecord, write_teacher
from kuaixun.trainer.teacher.quantised import quantised, serialised_bytes
from kuaixun.trainer.teacher.scoring import score, scorer_of
from kuaixun.trainer.teacher.settings import ENCODER, TeacherSettings
from kuaixun.trainer.teacher.token_rows import LabelledRows, TokenRows, pad_id_of, token_rows
from kuaixun.trainer.teacher.trainable import choose_trainable
from kuaixun.trainer.versions import library_versions

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class TeacherJob:
    """What to teach on what, where and before whom. `encoder` is a folder or hub name; `command` is recorded."""

    encoder: str
    split: DataSplit
    settings: TeacherSettings
    output: Path
    device: torch.device
    command: str
    watching: Callable[[], AbstractContextManager[Watcher]]
    advancing: Advancing
    say: Say


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """The split as the encoder reads it: the rows of train, dev and test by role; `files` are all that take part."""

    tokenizer: PreTrainedTokenizerFast
    rows: dict[str, TokenRows]
    files: tuple[DataFile, ...]


def teach(job: TeacherJob, files: Sequence[FileToScore], *, int8: bool) -> FineTuned:
    """Fine-tune on all training rows, write the folder, score the files. Raises TrainerError.

    An interrupted training writes its best teacher so far, and no scores. So does one that is interrupted while the
    teacher is measured and written; a second KeyboardInterrupt then gives it up.
    """
    refuse_unwritable(job.output)
    reading = read_rows(job)
    model = new_classifier(job, reading)
    refuse_unwritable(job.output, size_bytes(model))
    done = fine_tune_rows(job, reading, model, np.arange(len(job.split.train)))
    if not done.writes:
        return done
    with interrupts_between_steps() as asked_to_stop:
        logits = {role: scores_of(job, reading, model, role, job.device) for role in job.split.parts if role != "train"}
        figures = figures_of(job, reading, logits)
        record = record_of(job, reading, done, figures)
        if int8:
            record = with_int8(job, reading, model, record)
        teacher = Teacher(model, reading.tokenizer, record)
        write_teacher(job.output, teacher, done.history)
    job.say(f"teacher: {job.output}, from step {done.best.step}")
    done = replace(done, interrupted=done.interrupted or asked_to_stop())
    if not done.interrupted:
        score_files([scorer_of(teacher)], files, job.device, job.advancing, job.say)
    return done


def read_rows(job: TeacherJob) -> Reading:
    """Tokenise train, dev and test. Raises SettingError for an encoder that cannot be opened."""
    tokenizer = open_tokenizer(job.encoder, "--encoder")
    max_tokens, specials, parts = job.settings.max_tokens, job.settings.kind == ENCODER, job.split.parts
    rows = {role: token_rows(data.texts, tokenizer, max_tokens, specials=specials) for role, data in parts.items()}
    for role, data in parts.items():
        job.say(f"{data.source}: {len(data)} texts, {int((~rows[role].filled).sum())} of them empty after cleaning")
    return Reading(tokenizer, rows, _files(job))


def _files(job: TeacherJob) -> tuple[DataFile, ...]:
    """The split, and the encoder where it is a folder."""
    folder = Path(job.encoder)
    if not folder.is_dir():
        return job.split.files
    return (*job.split.files, DataFile(role="encoder", name=folder.name, rows=0, sha256=sha256_of(folder)))


def new_classifier(job: TeacherJob, reading: Reading) -> TeacherModel:
    """The pretrained model with a fresh head, and what of it trains. Raises SettingError."""
    settings = job.settings
    torch.manual_seed(settings.seed)
    model = open_classifier(job.encoder, "--encoder", settings, job.split.train.labels, reading.tokenizer)
    expect_positions(model.backbone, settings.max_tokens, job.encoder)
    set_dropout(model.backbone, settings.dropout)
    choose_trainable(model, settings)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    everything = sum(parameter.numel() for parameter in model.parameters())
    job.say(f"{trained} of {everything} parameters train, on {job.device}")
    return model


def fine_tune_rows(job: TeacherJob, reading: Reading, model: TeacherModel, train_rows: NDArray[np.int64]) -> FineTuned:
    """Fine-tune on some of the training rows; adapters are merged into the weights at the end."""
    rows = reading.rows["train"]
    part = TokenRows([rows.ids[row] for row in train_rows.tolist()], rows.filled[train_rows])
    train = LabelledRows(part, job.split.train.label_ids[train_rows])
    dev = LabelledRows(reading.rows["dev"], job.split.dev.label_ids)
    with job.watching() as watcher:
        done = fine_tune(model, train, dev, job.settings, pad_id_of(reading.tokenizer), job.device, watcher)
    if job.settings.lora_rank:
        model.backbone = model.backbone.merge_and_unload()
    return done


def scores_of(
    job: TeacherJob, reading: Reading, model: TeacherModel, role: str, device: torch.device, remark: str = ""
) -> NDArray[np.float32]:
    """Logits (n, classes) of dev or test; tells how far it is."""
    with job.advancing(f"scores of {role}{remark}") as advance:
        classes, pad_id = len(job.split.train.labels), pad_id_of(reading.tokenizer)
        return score(model, reading.rows[role], classes, pad_id, device, advance)


def figures_of(job: TeacherJob, reading: Reading, logits: dict[str, NDArray[np.float32]]) -> dict[str, Evaluation]:
    """Figures by role, told as well."""
    figures = {}
    for role, found in logits.items():
        figures[role] = measure(found, reading.rows[role].filled, job.split.parts[role], job.split.train)
        job.say(f"{role}: {figures[role].told()}")
    return figures


def record_of(
    job: TeacherJob, reading: Reading, done: FineTuned, figures: dict[str, Evaluation], *, fold: int = 0, folds: int = 0
) -> TeacherRecord:
    """What the folder says about the teacher."""
    return TeacherRecord(
        labels=job.split.train.labels,
        encoder=Path(job.encoder).name,
        settings=job.settings,
        metrics={role: evaluation.metrics() for role, evaluation in figures.items()},
        best_step=done.best.step,
        training=Training(
            command=job.command,
            seed=job.settings.seed,
            versions=library_versions("torch", "transformers", "tokenizers", "numpy"),
            data=reading.files,
        ),
        texts_sha256=sha256_of_texts(job.split.train.texts),
        rows_sha256=sha256_of_rows(job.split),
        fold=fold,
        folds=folds,
    )


def with_int8(job: TeacherJob, reading: Reading, model: TeacherModel, record: TeacherRecord) -> TeacherRecord:
    """The record with the size and the figures that the teacher has in int8, told as well."""
    small = quantised(model)
    sizes = {"size_bytes": float(serialised_bytes(model)), "int8_size_bytes": float(serialised_bytes(small.model))}
    job.say(
        f"int8: {sizes['int8_size_bytes'] / 1e6:.1f} MB instead of {sizes['size_bytes'] / 1e6:.1f} MB, with "
        f"{small.layers} linear layers, {small.share:.0%} of the weights, in 8 bits"
    )
    found = dict(sizes)
    for role, data in job.split.parts.items():
        if role != "train":
            logits = scores_of(job, reading, small.model, role, torch.device("cpu"), " in int8")
            accuracy = measure(logits, reading.rows[role].filled, data, job.split.train).accuracy
            found[f"{role}_accuracy"] = round(accuracy, 6)
            job.say(f"int8, {role}: accuracy {accuracy:.4f} instead of {record.metrics[role]['accuracy']:.4f}")
    return msgspec.structs.replace(record, metrics={**record.metrics, "int8": found})
