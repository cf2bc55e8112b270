"""The student as it is trained: a TextCNN over characters with an optional branch of hashed n-grams.

Embedding → parallel 1-d convolutions of several widths → ReLU → max over time → dropout → linear, after Kim (2014),
"Convolutional Neural Networks for Sentence Classification". Its traced form is the reference that every faster
engine must agree with.

**Which windows count.** A window of width k counts where it starts on a token; what hangs over the end of the text
meets PAD, whose embedding is zero. So a text of n tokens has n windows of each width, any text of one token or more
has at least one, and the padding of a batch changes nothing. ReLU makes zero the least feature, hence windows that
do not count are set to zero before the maximum.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kuaixun.export.student.ngrams import NOBODY, ngram_hashes, owned_buckets
from kuaixun.export.text.vocabulary import PAD
from kuaixun.schemas.manifest import Architecture, NgramBranch


class TextCNN(nn.Module):
    """ids (batch, tokens) int64, PAD only at the end of a row → logits (batch, classes).

    `dropout` acts on the pooled features, in training only. Deployed, it has other layers (`deployed_layers.py`) in
    place of its embedding and its n-grams.
    """

    def __init__(self, architecture: Architecture, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.architecture = architecture
        self.embedding = nn.Embedding(architecture.vocabulary_size, architecture.embedding_size, padding_idx=PAD)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(architecture.embedding_size, architecture.filters, width) for width in architecture.widths
        )
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(architecture.filters * len(architecture.widths), classes)
        self.ngrams = NgramScores(architecture.ngrams, classes) if architecture.ngrams else None

    def forward(self, ids: Tensor) -> Tensor:
        """Class scores before softmax."""
        logits: Tensor = self.linear(self.dropout(self.pooled(ids)))  # (batch, classes)
        if self.ngrams is not None:
            logits = logits + self.ngrams(ids)  # (batch, classes)
        return logits

    def pooled(self, ids: Tensor) -> Tensor:
        """The state before the last layer: (batch, tokens) → (batch, widths * filters)."""
        starts = (ids != PAD).unsqueeze(1)  # (batch, 1, tokens)
        overhang = max(self.architecture.widths) - 1
        embedded = self.embedding(F.pad(ids, (0, overhang), value=PAD)).transpose(
            1, 2
        )  # (batch, size, tokens + overhang)
        pooled = []
        for convolution in self.convolutions:
            windows = convolution(embedded)[:, :, : ids.shape[1]]  # (batch, filters, tokens)
            pooled.append((F.relu(windows) * starts).amax(dim=2))  # (batch, filters)
        return torch.cat(pooled, dim=1)  # (batch, widths * filters)


class NgramScores(nn.Module):
    """Hashed n-grams, summed over the text and brought to class scores: ids (batch, tokens) → (batch, classes).

    Sum and linear map commute, so the branch folds to a table of one row of class scores per bucket. Buckets belong to
    nobody until `owners` is filled from the training texts. `sparse_gradients` may be set in training, where a batch
    touches few of the rows.
    """

    def __init__(self, branch: NgramBranch, classes: int) -> None:
        super().__init__()
        self.branch = branch
        self.sparse_gradients = False
        buckets = 1 << branch.bucket_bits
        self.owners: Tensor
        self.register_buffer("owners", torch.full((buckets,), NOBODY, dtype=torch.int16))  # (buckets,)
        table = torch.zeros(buckets + 1, branch.size)  # (buckets + 1, size), the last row is padding
        nn.init.normal_(table[:-1], std=0.003)  # near zero: what few texts train should add little noise
        self.table = nn.Parameter(table)
        self.linear = nn.Linear(branch.size, classes, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Class scores to add to those of the convolutions."""
        buckets = owned_buckets(ngram_hashes(ids, self.branch), self.owners)  # (batch, n-grams)
        none = self.table.shape[0] - 1
        summed = F.embedding_bag(
            buckets, self.table, mode="sum", padding_idx=none, sparse=self.sparse_gradients
        )  # (batch, size)
        scores: Tensor = self.linear(summed)  # (batch, classes)
        return scores
