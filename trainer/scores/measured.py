"""What a teacher's logits of a labelled file are worth."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.evaluation.figures import Evaluation, evaluate


def measure(
    logits: NDArray[np.float32], filled: NDArray[np.bool_], data: LabelledTexts, train: LabelledTexts
) -> Evaluation:
    """Figures over a whole file: texts that cleaning emptied get no label, as they get none from a student."""
    probabilities = torch.softmax(torch.from_numpy(logits).double(), dim=1).numpy()  # (n, classes)
    predicted = np.where(filled, probabilities.argmax(axis=1), -1)
    confidences = np.where(filled, probabilities.max(axis=1), 0.0)
    return evaluate(data.label_ids, predicted, confidences, data.labels, texts=data.texts, training_texts=train.texts)


def nothing_seen(data: LabelledTexts) -> LabelledTexts:
    """No training texts, where none are known, or those of `data` are the training texts themselves."""
    return LabelledTexts((), data.label_ids[:0], data.labels, data.source, data.sha256)
