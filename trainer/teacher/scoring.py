"""What a teacher thinks of texts: raw texts in, logits out, in their order."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from kuaixun.trainer.advance import Advance, in_silence
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.evaluation.figures import Evaluation, evaluate
from kuaixun.trainer.student.batches import batches_by_length
from kuaixun.trainer.teacher.classifiers import TeacherModel
from kuaixun.trainer.teacher.token_rows import TokenRows, padded

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


def measure(
    logits: NDArray[np.float32], filled: NDArray[np.bool_], data: LabelledTexts, train: LabelledTexts
) -> Evaluation:
    """Figures over a whole file: texts that cleaning emptied get no label, as they get none from a student."""
    probabilities = torch.softmax(torch.from_numpy(logits).double(), dim=1).numpy()  # (n, classes)
    predicted = np.where(filled, probabilities.argmax(axis=1), -1)
    confidences = np.where(filled, probabilities.max(axis=1), 0.0)
    return evaluate(data.label_ids, predicted, confidences, data.labels, texts=data.texts, training_texts=train.texts)
