"""Fitting the student: how its branches are judged and its parameters moved."""

from __future__ import annotations

from torch import Tensor

from kuaixun.export.student.textcnn import TextCNN
from kuaixun.trainer.fitting.curriculum import TrainingTexts
from kuaixun.trainer.fitting.encoded_texts import EncodedTexts
from kuaixun.trainer.fitting.objective import Batch, Objective
from kuaixun.trainer.fitting.settings import FitSettings
from kuaixun.trainer.fitting.training import Fit, Learner, fit_module
from kuaixun.trainer.fitting.watching import Watcher
from kuaixun.trainer.student.optimizers import build_optimizers
from kuaixun.trainer.student.pooled_states import pooled_states


def fit(module: TextCNN, train: TrainingTexts, dev: EncodedTexts, settings: FitSettings, watcher: Watcher) -> Fit:
    """Train a student where it stands, as `fit_module` does."""

    def loss(batch: Batch, objective: Objective) -> Tensor:
        return student_loss(module, batch, objective, settings.branch_loss)

    return fit_module(Learner(module, loss, build_optimizers(module, settings)), train, dev, settings, watcher)


def student_loss(module: TextCNN, batch: Batch, objective: Objective, branch_loss: float) -> Tensor:
    """The objective's loss of the student and, weighed by `branch_loss`, of each branch by itself.

    N-grams know the training texts by heart within an epoch. Trained on the sum alone, they leave the convolutions
    nothing to learn; judged alone as well, both branches learn, and their sum gains what an ensemble gains. A teacher
    judges all three alike.
    """
    convolutions = module.linear(module.dropout(pooled_states(module, batch.ids)))  # (batch, classes)
    if module.ngrams is None:
        return objective.loss(convolutions, batch)
    ngrams = module.ngrams(batch.ids)  # (batch, classes)
    together = objective.loss(convolutions + ngrams, batch)
    if not branch_loss:
        return together
    alone = objective.loss(convolutions, batch) + objective.loss(ngrams, batch)
    return (1 - branch_loss) * together + branch_loss * alone
