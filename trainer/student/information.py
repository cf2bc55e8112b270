"""What a feature of texts says of their class, in nats, and how loud it is to be for that.

Features that say more are let learn more cheaply: a penalty on squared weights then spares the few telling words of a
text and not the many that stand in texts of all classes. That is worth two to nine points where texts are few and
features many (docs/experiments.md).

The measure is the Kullback-Leibler divergence of the classes of the texts that have the feature from those of all
texts; times twice their number it is the G statistic (Dunning 1993, Accurate Methods for the Statistics of Surprise and
Coincidence). For loudness all classes are taken to be equally common, or what tells a common class from the others
would hardly be heard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from kuaixun.trainer.fitting.objective import UNLABELLED, Batch

if TYPE_CHECKING:
    from kuaixun.trainer.student.text_features import TextFeatures

CHUNK_TEXTS = 1 << 12


@dataclass(frozen=True, slots=True, eq=False)
class Loudness:
    """What features count in the last layer: (features,) and, where n-grams are counted, (n-grams,)."""

    of_states: Tensor
    of_ngrams: Tensor | None


def loudness_of(learnt: TextFeatures, told: Batch, classes: int) -> Loudness:
    """The root of each feature's information, as a share of the largest; states count relative to the largest of all.

    A text has a state where it is more than half of what it is in any of these texts. Where a detector of a word meets
    one that differs by a letter, only the rounding of a sum decides whether its state is zero.
    """
    probabilities = _class_probabilities(told, classes)  # (texts, classes)
    balanced = probabilities / probabilities.sum(dim=0).clamp(min=1e-6)  # (texts, classes)
    counts = torch.zeros(learnt.states.shape[1], classes, device=balanced.device)
    halves = learnt.states.amax(dim=0) / 2  # (features,)
    for states, some in zip(torch.split(learnt.states, CHUNK_TEXTS), torch.split(balanced, CHUNK_TEXTS), strict=True):
        counts += (states > halves).float().T @ some
    equal = balanced.new_full((classes,), 1 / classes)
    of_states = _relative_root(information(counts, equal)) / learnt.states.max().clamp(min=1e-6)
    if learnt.ngrams is None:
        return Loudness(of_states, None)
    return Loudness(of_states, _relative_root(information(learnt.ngrams.presence_in(balanced), equal)))


def information(counts: Tensor, shares: Tensor) -> Tensor:
    """(features,) nats, 0 for a feature that no text has: `counts` (features, classes) of the texts that have each,
    `shares` (classes,) of all texts.
    """
    smallest = torch.finfo(counts.dtype).tiny
    of_class = counts / counts.sum(dim=1, keepdim=True).clamp(min=smallest)  # (features, classes)
    return torch.xlogy(of_class, of_class / shares.clamp(min=smallest)).sum(dim=1).clamp(min=0)


def _relative_root(nats: Tensor) -> Tensor:
    """Ones where nothing says anything."""
    largest = nats.max() if len(nats) else nats.new_zeros(())
    return (nats / largest).sqrt() if largest > 0 else torch.ones_like(nats)


def _class_probabilities(told: Batch, classes: int) -> Tensor:
    """(texts, classes): the label where there is one, else what the teacher says, tempered as it is."""
    if told.label_ids is None:
        raise ValueError("texts of an epoch have label ids, if only to say that they have none")
    labelled = told.label_ids != UNLABELLED  # (texts,)
    probabilities = F.one_hot(told.label_ids.where(labelled, 0), classes).float()
    if told.teacher is None:
        return probabilities
    return torch.where(labelled.unsqueeze(1), probabilities, told.teacher.float())
