"""What the last layer of a student is told of texts: the states of its filters, and how often n-grams occur.

Computed once, for where filters stay as they are, features do too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kuaixun.export.student.ngrams import ngram_hashes, owned_buckets
from kuaixun.trainer.fitting.curriculum import Epoch
from kuaixun.trainer.fitting.objective import UNLABELLED, Batch
from kuaixun.trainer.fitting.training import EVALUATION_BATCH
from kuaixun.trainer.student.ngram_counts import NgramCounts
from kuaixun.trainer.student.pooled_states import pooled_states

if TYPE_CHECKING:
    from kuaixun.export.student.textcnn import TextCNN
    from kuaixun.trainer.fitting.encoded_texts import EncodedTexts

MOST_WINDOW_FEATURES = 1 << 26  # numbers of four bytes, of all windows of a batch at once


@dataclass(frozen=True, slots=True, eq=False)
class TextFeatures:
    """Of some texts: `states` (texts, features), and how often each n-gram occurs."""

    states: Tensor
    ngrams: NgramCounts | None


def features_of_epoch(
    module: TextCNN, epoch: Epoch, device: torch.device, *, ngrams: bool = True
) -> tuple[TextFeatures, Batch]:
    """The texts of an epoch as features, with n-grams or without, and what is said of them, without their ids."""
    said = list[tuple[int, Tensor | None, Tensor | None]]()

    def ids() -> Iterator[Tensor]:
        for batch in epoch.batches(device):
            said.append((len(batch.ids), batch.label_ids, batch.teacher))
            yield batch.ids

    features = features_of(module, ids(), sum(map(len, epoch.rows)), ngrams=ngrams)
    label_ids = torch.cat(
        [torch.full((texts,), UNLABELLED, device=device) if some is None else some for texts, some, _ in said]
    )  # (texts,)
    teacher = None
    if any(some is not None for _, _, some in said):
        classes = module.linear.out_features
        teacher = torch.cat(
            [torch.zeros(texts, classes, device=device) if some is None else some for texts, _, some in said]
        )  # (texts, classes)
    return features, Batch(torch.empty(0, dtype=torch.int64), label_ids, teacher)


def features_of(
    module: TextCNN, batches: Iterable[Tensor], texts: int, *, ngrams: bool, like: TextFeatures | None = None
) -> TextFeatures:
    """States of `texts` in batches of ids (batch, tokens), and counts of their n-grams, or of those counted in `like`.

    Batch by batch into one tensor: a list of parts, put together at its end, would stand beside it in memory.
    """
    states = torch.empty(texts, module.linear.in_features, device=module.linear.weight.device)  # (texts, features)
    rows, buckets, done = [], [], 0
    with torch.no_grad():
        for ids in _small_enough(batches, module.linear.in_features):
            states[done : done + len(ids)] = pooled_states(module, ids)  # (batch, features)
            if module.ngrams is not None and ngrams:
                hashes = ngram_hashes(ids, module.ngrams.branch)  # (batch, orders * tokens)
                owned = owned_buckets(hashes, module.ngrams.owners)  # (batch, orders * tokens)
                row, place = (owned < len(module.ngrams.owners)).nonzero(as_tuple=True)  # (found,), (found,)
                rows.append(row + done)
                buckets.append(owned[row, place])
            done += len(ids)
    if not rows:
        return TextFeatures(states, None)
    known = like.ngrams.columns if like is not None and like.ngrams is not None else None
    return TextFeatures(states, NgramCounts.of(torch.cat(rows), torch.cat(buckets), texts, known))


def _small_enough(batches: Iterable[Tensor], features: int) -> Iterator[Tensor]:
    """The same texts, in batches whose features of all windows take no more than a quarter of a gibibyte."""
    for ids in batches:
        texts = max(1, MOST_WINDOW_FEATURES // (features * ids.shape[1]))
        yield from torch.split(ids, texts)


def in_order(data: EncodedTexts, device: torch.device) -> Iterator[Tensor]:
    """Ids (batch, tokens), batch by batch as the texts stand."""
    for rows in torch.split(torch.arange(len(data)), EVALUATION_BATCH):
        yield data.batch(rows, device)[0]
