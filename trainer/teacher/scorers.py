"""Whatever is finished and gives scores: a teacher's folder, a network's, or a student's checkpoint.

A student too large to serve, with more filters or a wider table of n-grams, teaches a smaller one as well as an
encoder does, and is unlike an encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from kuaixun.export.checkpoint import RECORD_FILE as STUDENT_RECORD_FILE
from kuaixun.export.checkpoint import read_checkpoint
from kuaixun.export.errors import CheckpointError
from kuaixun.export.student.tracing import convolutional_module
from kuaixun.schemas.manifest import Training
from kuaixun.trainer.advance import Advance, Advancing, in_silence
from kuaixun.trainer.data.content_hash import sha256_of_texts
from kuaixun.trainer.data.text_lines import TextLines
from kuaixun.trainer.errors import DataError, SettingError
from kuaixun.trainer.network.folder import RECORD_FILE as NETWORK_RECORD_FILE
from kuaixun.trainer.network.folder import Network, read_network
from kuaixun.trainer.network.job import network_logits
from kuaixun.trainer.student.encoding import encode
from kuaixun.trainer.student.training import logits_of
from kuaixun.trainer.teacher.folder import Teacher, read_teacher
from kuaixun.trainer.teacher.processes import is_first_process
from kuaixun.trainer.teacher.score_files import Say, ScoredFile, write_file_scores
from kuaixun.trainer.teacher.scores import SEEN
from kuaixun.trainer.teacher.scoring import score
from kuaixun.trainer.teacher.token_rows import token_rows

TEXTS_AT_ONCE = 2048  # few enough that a large teacher on a processor tells now and then how far it is


@dataclass(frozen=True, slots=True, eq=False)
class Scorer:
    """`logits_of` texts, on a device: (n, classes) float32. `folds` is 0 where it learnt from all training rows.

    For the teachers that have folds, `texts_sha256` is that of the texts whose folds it learnt from, and `settings`
    how it learnt, equal for all folds of one training.
    """

    labels: tuple[str, ...]
    training: Training
    logits_of: Callable[[Sequence[str], torch.device], NDArray[np.float32]]
    folds: int = SEEN
    texts_sha256: str = ""
    settings: object = None

    def learnt_from_a_part_of(self, texts: Sequence[str]) -> bool:
        """Whether these are the texts of whose folds it has seen some and not others."""
        return bool(self.folds) and self.texts_sha256 == sha256_of_texts(texts)

    def learnt_beside(self, other: Scorer) -> bool:
        """Whether both learnt from folds of the same rows in the same way."""
        ours, theirs = (
            (one.folds, one.texts_sha256, one.settings, [(file.role, file.sha256) for file in one.training.data])
            for one in (self, other)
        )
        return bool(self.folds) and ours == theirs


def open_scorer(folder: Path) -> Scorer:
    """The teacher or student in a folder. Raises SettingError, CheckpointError."""
    if (folder / STUDENT_RECORD_FILE).exists():
        return _student(folder)
    if (folder / NETWORK_RECORD_FILE).exists():
        return scorer_of_network(read_network(folder))
    return scorer_of(read_teacher(folder))


def scorer_of(teacher: Teacher) -> Scorer:
    """A teacher as one that scores."""
    record = teacher.record
    of_texts = partial(_teacher_logits, teacher)
    settings = (record.encoder, record.settings)
    return Scorer(record.labels, record.training, of_texts, record.folds, record.texts_sha256, settings)


def scorer_of_network(network: Network) -> Scorer:
    """A network as one that scores."""
    record = network.record
    of_texts = partial(network_logits, network)
    settings = (record.shape, record.settings, record.word_learning_rate)
    return Scorer(record.labels, record.training, of_texts, record.folds, record.texts_sha256, settings)


def mean_logits(
    scorers: Sequence[Scorer], texts: Sequence[str], device: torch.device, advance: Advance = in_silence
) -> NDArray[np.float32]:
    """Logits (n, classes): the mean over the scorers, which are one, or folds of one training.

    The mean of others would be ruled by the one whose logits happen to spread the most.
    """
    parts = []
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        part = texts[start : start + TEXTS_AT_ONCE]
        parts.append(np.mean([one.logits_of(part, device) for one in scorers], axis=0, dtype=np.float32))
        advance((start + len(part)) / len(texts), f"{start + len(part)} of {len(texts)} texts")
    return np.concatenate(parts)


def score_files(
    scorers: Sequence[Scorer], files: Sequence[ScoredFile], device: torch.device, advancing: Advancing, say: Say
) -> None:
    """Write the mean logits of scorers that know none of the labels, or all, of these files.

    Of several processes one does. Raises OSError, and SettingError for several that are not folds of one training. A
    KeyboardInterrupt goes through, once it is told how to go on.
    """
    if not all(one.learnt_beside(scorers[0]) for one in scorers[1:]):
        raise SettingError(
            "--teacher: the mean is for folds of one training, and these are others: the one whose logits spread the "
            "most would rule it; score with each alone, and mix the scores with kuaixun-trainer blend"
        )
    if not is_first_process():
        return
    for file in files:
        try:
            with advancing(f"scores of {file.name}") as advance:
                logits = mean_logits(scorers, file.texts, device, advance)
        except KeyboardInterrupt:
            say(f"no scores of {file.name}: kuaixun-trainer teacher --scores-only --teacher DIR makes them later")
            raise
        write_file_scores(file, logits, scorers[0].labels, scorers[0].training.command, SEEN, say)


def _teacher_logits(teacher: Teacher, texts: Sequence[str], device: torch.device) -> NDArray[np.float32]:
    rows = token_rows(texts, teacher.tokenizer, teacher.record.settings)
    pad_id = teacher.tokenizer.pad_token_id
    classes = len(teacher.record.labels)
    return score(teacher.model, rows, classes, pad_id if isinstance(pad_id, int) else 0, device)


def _student(folder: Path) -> Scorer:
    checkpoint = read_checkpoint(folder)
    record = checkpoint.record
    try:
        module = convolutional_module(record.architecture, checkpoint.deployed())
    except CheckpointError as error:
        raise CheckpointError(f"--teacher {folder}: {error}") from error

    def of_texts(texts: Sequence[str], device: torch.device) -> NDArray[np.float32]:
        """A text of which cleaning leaves nothing gets zeros: no class before another."""
        try:
            encoded = encode(checkpoint.pipeline, TextLines(tuple(texts), Path("the file to score"), sha256=""))
        except DataError:  # of no text is anything left
            return np.zeros((len(texts), len(record.labels)), dtype=np.float32)
        return encoded.in_whole_file(logits_of(module.to(device), encoded), len(texts))

    return Scorer(record.labels, record.training, of_texts)
