"""The layers that a student is deployed with in place of those it was trained with: tables in int8.

Rows are gathered first and widened then, so that no pass touches more of a table than a batch has tokens. Scales decide
the precision: `.half()` and `.float()` leave integers alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kuaixun.export.student.ngrams import ngram_hashes, owned_buckets
from kuaixun.export.student.scaled_int8 import ScaledInt8
from kuaixun.export.student.weights import NgramWeights
from kuaixun.schemas.manifest import NgramBranch


class ScaledEmbedding(nn.Module):
    """ids (batch, tokens) → (batch, tokens, size)."""

    def __init__(self, table: ScaledInt8) -> None:
        super().__init__()
        self.steps: Tensor
        self.scales: Tensor
        self.register_buffer("steps", torch.from_numpy(table.steps))  # (vocabulary, size) int8
        self.register_buffer("scales", torch.from_numpy(table.scales))  # (vocabulary, 1)

    def forward(self, ids: Tensor) -> Tensor:
        """The rows of the ids."""
        scales = F.embedding(ids, self.scales)  # (batch, tokens, 1)
        return F.embedding(ids, self.steps).type_as(scales) * scales  # (batch, tokens, size)


class FoldedNgramScores(nn.Module):
    """The n-gram branch with its linear map folded in: ids (batch, tokens) → class scores (batch, classes).

    A look-up and a sum, not an embedding bag: that would take no int8, become a loop over the batch in ONNX, and export
    for no batch of one.
    """

    def __init__(self, branch: NgramBranch, weights: NgramWeights) -> None:
        super().__init__()
        self.branch = branch
        self.owners: Tensor
        self.steps: Tensor
        self.scales: Tensor
        self.register_buffer("owners", torch.from_numpy(weights.owners))  # (buckets,)
        padded = F.pad(torch.from_numpy(weights.scores.steps), (0, 0, 0, 1))  # the last row is no bucket's, and zero
        self.register_buffer("steps", padded)  # (buckets + 1, classes) int8
        self.register_buffer("scales", torch.from_numpy(weights.scores.scales))  # (1, classes)

    def forward(self, ids: Tensor) -> Tensor:
        """Class scores to add to those of the convolutions."""
        buckets = owned_buckets(ngram_hashes(ids, self.branch), self.owners)  # (batch, n-grams)
        summed = F.embedding(buckets, self.steps).type_as(self.scales).sum(dim=1)  # (batch, classes)
        return summed * self.scales  # (batch, classes)
