"""The two kinds of teacher behind one face: token ids of a text in, one score a class out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kuaixun.trainer.teacher.encoder_classifier import EncoderClassifier, open_encoder
from kuaixun.trainer.teacher.generative import GenerativeClassifier, open_language_model
from kuaixun.trainer.teacher.settings import GENERATIVE, TeacherSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TeacherModel = EncoderClassifier | GenerativeClassifier


def open_classifier(
    name: str, option: str, settings: TeacherSettings, labels: Sequence[str], tokenizer: PreTrainedTokenizerFast
) -> TeacherModel:
    """A classifier on the pretrained model of a folder or hub name; an encoder's head is new.

    `option` is named in a refusal. Raises SettingError.
    """
    if settings.kind == GENERATIVE:
        return GenerativeClassifier(
            open_language_model(name, option),
            tokenizer,
            labels,
            instruction=settings.instruction,
            max_tokens=settings.max_tokens,
        )
    return EncoderClassifier(
        open_encoder(name, option),
        settings.head,
        len(labels),
        dropout=settings.dropout,
        label_smoothing=settings.label_smoothing,
    )
