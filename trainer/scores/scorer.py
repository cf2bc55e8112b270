"""Whatever gives scores, asked for those of files: a teacher, a network, a student, or folds of one training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from kuaixun.schemas.manifest import Training
from kuaixun.trainer.advance import Advance, Advancing, in_silence
from kuaixun.trainer.data.content_hash import sha256_of_texts
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.scores.processes import is_first_process
from kuaixun.trainer.scores.requests import FileToScore, Say, write_file_scores
from kuaixun.trainer.scores.teacher_scores import LOWER_RATE, SEEN

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
    scorers: Sequence[Scorer],
    files: Sequence[FileToScore],
    device: torch.device,
    advancing: Advancing,
    say: Say,
    *,
    where_no_number: str = LOWER_RATE,
) -> None:
    """Write the mean logits of scorers that know none of the labels, or all, of these files.

    Of several processes one does. Raises OSError, SettingError for several that are not folds of one training, and
    ScoresError, with the advice `where_no_number`, for logits that are none. A KeyboardInterrupt goes through, once it
    is told how to go on.
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
        first = scorers[0]
        told = first.training.command
        write_file_scores(file, logits, first.labels, told, SEEN, say, where_no_number=where_no_number)
