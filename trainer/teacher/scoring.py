"""What a teacher thinks of texts: raw texts in, logits out, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from kuaixun.trainer.advance import Advance, in_silence
from kuaixun.trainer.fitting.batches import batches_by_length
from kuaixun.trainer.scores.scorer import Scorer
from kuaixun.trainer.teacher.classifiers import TeacherModel
from kuaixun.trainer.teacher.folder import Teacher
from kuaixun.trainer.teacher.settings import ENCODER
from kuaixun.trainer.teacher.token_rows import TokenRows, pad_id_of, padded, token_rows

SCORING_BATCH = 256


def score(
    model: TeacherModel,
    rows: TokenRows,
    classes: int,
    pad_id: int,
    device: torch.device,
    advance: Advance = in_silence,
) -> NDArray[np.float32]:
    """Logits (n, classes) in single precision. Texts that cleaning emptied have some too: those of no text."""
    logits = np.empty((len(rows), classes), dtype=np.float32)
    tokens = torch.tensor([len(ids) for ids in rows.ids])
    model.to(device).train(False)
    done = 0
    with torch.inference_mode():
        for batch in batches_by_length(tokens, SCORING_BATCH):
            chosen = batch.tolist()
            ids, mask = padded([rows.ids[row] for row in chosen], pad_id)
            output = model(ids.to(device), mask.to(device))
            logits[chosen] = output["logits"].float().cpu().numpy()
            done += len(chosen)
            advance(done / len(rows), f"{done} of {len(rows)} texts")
    return logits


def scorer_of(teacher: Teacher) -> Scorer:
    """A teacher as one that scores."""
    record = teacher.record
    of_texts = partial(_teacher_logits, teacher)
    settings = (record.encoder, record.settings)
    return Scorer(record.labels, record.training, of_texts, record.folds, record.texts_sha256, settings)


def _teacher_logits(teacher: Teacher, texts: Sequence[str], device: torch.device) -> NDArray[np.float32]:
    settings, tokenizer = teacher.record.settings, teacher.tokenizer
    rows = token_rows(texts, tokenizer, settings.max_tokens, specials=settings.kind == ENCODER)
    return score(teacher.model, rows, len(teacher.record.labels), pad_id_of(tokenizer), device)
