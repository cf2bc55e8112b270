"""What the last layer of a student is told of texts: the states of its filters, and how often n-grams occur.

Computed once, for where filters stay as they are, features do too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from kuaixun.export.student.ngrams import ngram_hashes, owned_buckets
from kuaixun.trainer.fitting.curriculum import Epoch
from kuaixun.trainer.fitting.objective import UNLABELLED, Batch
from kuaixun.trainer.fitting.training import EVALUATION_BATCH
from kuaixun.trainer.student.ngram_counts import NgramCounts
from kuaixun.trainer.student.pooled_states import pooled_states

if TYPE_CHECKING:
    from kuaixun.export.student.textcnn import TextCNN
    from kuaixun.trainer.fitting.encoded_texts import EncodedTexts


@dataclass(frozen=True, slots=True, eq=False)
class TextFeatures:
    """Of some texts: `states` (texts, features), the largest 1 in training, and how often each n-gram occurs."""

    states: Tensor
    ngrams: NgramCounts | None


def features_of_epoch(module: TextCNN, epoch: Epoch, device: torch.device) -> tuple[TextFeatures, Batch]:
    """The texts of an epoch as features, and what is said of them, without their ids."""
    batches = list(epoch.batches(device))
    features = features_of(module, (batch.ids for batch in batches))
    classes = module.linear.out_features
    labels, teachers = [], []
    for batch in batches:
        texts = len(batch.ids)
        silent = torch.full((texts,), UNLABELLED, device=device)
        labels.append(silent if batch.label_ids is None else batch.label_ids)
        teachers.append(torch.zeros(texts, classes, device=device) if batch.teacher is None else batch.teacher)
    label_ids, teacher = torch.cat(labels), torch.cat(teachers)  # (texts,), (texts, classes)
    taught = any(batch.teacher is not None for batch in batches)
    return features, Batch(torch.empty(0, dtype=torch.int64), label_ids, teacher if taught else None)


def features_of(module: TextCNN, batches: Iterable[Tensor], like: TextFeatures | None = None) -> TextFeatures:
    """States of batches of ids (batch, tokens), and counts of their n-grams, or of those that are counted in `like`."""
    states, buckets = [], []
    with torch.no_grad():
        for ids in batches:
            states.append(pooled_states(module, ids))  # (batch, features)
            if module.ngrams is not None:
                hashes = ngram_hashes(ids, module.ngrams.branch)  # (batch, orders * tokens)
                buckets.append(owned_buckets(hashes, module.ngrams.owners))  # (batch, orders * tokens)
    if module.ngrams is None:
        return TextFeatures(torch.cat(states), None)
    most, none = max(one.shape[1] for one in buckets), len(module.ngrams.owners)
    found = torch.cat([F.pad(one, (0, most - one.shape[1]), value=none) for one in buckets])
    known = like.ngrams if like is not None else None
    columns = torch.unique(found[found < none]) if known is None else known.columns
    return TextFeatures(torch.cat(states), NgramCounts.of(found, columns))


def in_order(data: EncodedTexts, device: torch.device) -> Iterator[Tensor]:
    """Ids (batch, tokens), batch by batch as the texts stand."""
    for rows in torch.split(torch.arange(len(data)), EVALUATION_BATCH):
        yield data.batch(rows, device)[0]
