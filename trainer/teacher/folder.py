"""A finished teacher as a folder: a Hugging Face model, and beside it what makes it a teacher.

config.json, model.safetensors, tokenizer*.json   the fine-tuned model, as any Hugging Face tool reads it
head.safetensors                                  the head over it, where it is an encoder
teacher.json                                      labels, settings, figures, how it was trained
history.jsonl                                     every look at dev, for the report's learning curves
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import safetensors
import safetensors.torch

from kuaixun.export.new_folder import new_folder
from kuaixun.trainer.encoder.pretrained_folders import open_tokenizer
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.fitting.history import HISTORY_FILE, history_to_file
from kuaixun.trainer.fitting.watching import DevFigures
from kuaixun.trainer.fitting.weights import size_bytes
from kuaixun.trainer.scores.taught import TaughtRecord, read_taught, taught_to_file
from kuaixun.trainer.teacher.classifiers import TeacherModel, open_classifier
from kuaixun.trainer.teacher.encoder_classifier import EncoderClassifier
from kuaixun.trainer.teacher.settings import TeacherSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

RECORD_FILE = "teacher.json"
HEAD_FILE = "head.safetensors"


class TeacherRecord(TaughtRecord, frozen=True, kw_only=True):
    """Everything about a teacher but its numbers."""

    encoder: str
    settings: TeacherSettings


@dataclass(frozen=True, slots=True, eq=False)
class Teacher:
    """A fine-tuned model, its tokenizer and its record."""

    model: TeacherModel
    tokenizer: PreTrainedTokenizerFast
    record: TeacherRecord


def write_teacher(folder: Path, teacher: Teacher, history: Sequence[DevFigures]) -> None:
    """Write a new folder, whole or not at all. Adapters are merged into the weights. Raises OSError."""
    with new_folder(folder, size_bytes(teacher.model)) as unfinished:
        teacher.model.backbone.save_pretrained(unfinished)
        teacher.tokenizer.save_pretrained(unfinished)
        if isinstance(teacher.model, EncoderClassifier):
            head = {name: tensor.detach().cpu() for name, tensor in teacher.model.head.state_dict().items()}
            (unfinished / HEAD_FILE).write_bytes(safetensors.torch.save(head))
        (unfinished / RECORD_FILE).write_bytes(taught_to_file(teacher.record))
        (unfinished / HISTORY_FILE).write_bytes(history_to_file(history))


def read_teacher(folder: Path) -> Teacher:
    """Read what `write_teacher` wrote. Raises SettingError naming what does not fit."""
    record = read_record(folder)
    tokenizer = open_tokenizer(str(folder), "--teacher")
    model = open_classifier(str(folder), "--teacher", record.settings, record.labels, tokenizer)
    try:
        if isinstance(model, EncoderClassifier):
            model.head.load_state_dict(safetensors.torch.load((folder / HEAD_FILE).read_bytes()))
    except (OSError, RuntimeError, ValueError, safetensors.SafetensorError) as error:
        reason = str(error).split("\n")[0]
        raise SettingError(f"--teacher: {folder / HEAD_FILE} does not fit {RECORD_FILE}: {reason}") from None
    model.train(False)
    return Teacher(model, tokenizer, record)


def read_record(folder: Path) -> TeacherRecord:
    """The record of a teacher's folder. Raises SettingError for a folder that is no teacher."""
    return read_taught(folder / RECORD_FILE, TeacherRecord, "teacher")
