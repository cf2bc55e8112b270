"""The student as it is served: convolutions folded, exactly, into sums of table rows.

The embedding is fixed at inference, so a convolution of width k over it is a sum of k rows, one for each place in
the window: `T[j] = E @ W[:, :, j].T`, and the window at t has the features `sum_j T[j][id[t + j]] + b`. PAD's embedding
is zero, hence so are its rows. No multiplication is left but the last linear layer, which is done in double
precision: what the order of its additions changes from batch to batch is then far less than a prediction shows.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kuaixun.export.student.ngrams import ngram_hashes, owned_buckets
from kuaixun.export.student.weights import StudentWeights
from kuaixun.export.text.vocabulary import PAD
from kuaixun.schemas.manifest import Architecture

# Sixteen of them still add up to a finite number in single precision.
NEVER_THE_MAXIMUM = -1e37


class FoldedTextCNN(nn.Module):
    """ids (batch, tokens) int64, PAD only at the end of a row → logits (batch, classes) float64."""

    def __init__(self, architecture: Architecture, weights: StudentWeights) -> None:
        super().__init__()
        self.architecture = architecture
        embedding = torch.from_numpy(weights.embedding).double()  # (vocabulary, size)
        self.tables = nn.ParameterList()
        for convolution in weights.convolutions:
            places = torch.from_numpy(convolution).double().permute(2, 1, 0)  # (width, size, filters)
            rows = (embedding @ places).flatten(0, 1).float()  # (width * vocabulary, filters)
            # A last row for windows that do not count: less than any sum, so that no maximum takes it.
            table = F.pad(rows, (0, 0, 0, 1), value=NEVER_THE_MAXIMUM)  # (width * vocabulary + 1, filters)
            self.tables.append(nn.Parameter(table, requires_grad=False))
        biases = torch.from_numpy(np.concatenate(weights.convolution_biases))  # (widths * filters,)
        self.biases = nn.Parameter(biases, requires_grad=False)
        self.linear = nn.Parameter(torch.from_numpy(weights.linear).double().T.contiguous(), requires_grad=False)
        self.linear_bias = nn.Parameter(torch.from_numpy(weights.linear_bias).double(), requires_grad=False)
        self.ngrams: nn.Parameter | None = None
        if weights.ngrams is not None:
            self.owners: Tensor
            self.register_buffer("owners", torch.from_numpy(weights.ngrams.owners))  # (buckets,)
            padded = F.pad(torch.from_numpy(weights.ngrams.scores), (0, 0, 0, 1))  # (buckets + 1, classes)
            self.ngrams = nn.Parameter(padded, requires_grad=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Class scores before softmax."""
        vocabulary_size, tokens = self.architecture.vocabulary_size, ids.shape[1]
        counts = (ids != PAD).unsqueeze(2)  # (batch, tokens, 1)
        overhang = max(self.architecture.widths) - 1
        padded = F.pad(ids, (0, overhang), value=PAD)  # (batch, tokens + overhang)
        pooled = []
        for width, table in zip(self.architecture.widths, self.tables, strict=True):
            places = [padded[:, place : place + tokens] + place * vocabulary_size for place in range(width)]
            rows = torch.where(counts, torch.stack(places, dim=2), width * vocabulary_size)  # (batch, tokens, width)
            windows = F.embedding_bag(rows.flatten(0, 1), table, mode="sum")  # (batch * tokens, filters)
            pooled.append(windows.view(ids.shape[0], tokens, -1).amax(dim=1))  # (batch, filters)
        # The bias is the same for all windows of a filter and ReLU keeps their order, so both can wait for the maximum.
        features = F.relu(torch.cat(pooled, dim=1) + self.biases).double()  # (batch, widths * filters)
        logits = features @ self.linear + self.linear_bias  # (batch, classes)
        if self.ngrams is not None and self.architecture.ngrams is not None:
            buckets = owned_buckets(ngram_hashes(ids, self.architecture.ngrams), self.owners)  # (batch, n-grams)
            last = self.ngrams.shape[0] - 1
            logits = logits + F.embedding_bag(buckets, self.ngrams, mode="sum", padding_idx=last)  # (batch, classes)
        return logits
