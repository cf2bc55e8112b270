"""What a student is worth, measured on the numbers that a bundle holds and calibrated as they are served."""

from __future__ import annotations

import numpy as np
import torch

from kuaixun.export.student.textcnn import TextCNN
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.evaluation.figures import Evaluation, evaluate
from kuaixun.trainer.fitting.encoded_texts import EncodedTexts
from kuaixun.trainer.fitting.training import logits_of


def measure_deployed(
    module: TextCNN, encoded: EncodedTexts, data: LabelledTexts, train: LabelledTexts, temperature: float
) -> Evaluation:
    """Figures over the whole file, texts that cleaning emptied included."""
    probabilities = torch.softmax(logits_of(module, encoded).double() / temperature, dim=1).numpy()  # (n, classes)
    rows = encoded.rows.numpy()
    predicted = np.full(len(data), -1, dtype=np.int64)
    confidences = np.zeros(len(data))
    predicted[rows] = probabilities.argmax(axis=1)
    confidences[rows] = probabilities.max(axis=1)
    return evaluate(data.label_ids, predicted, confidences, data.labels, texts=data.texts, training_texts=train.texts)
