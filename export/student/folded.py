"""The student as it is served: convolutions folded, exactly, into sums of table rows.

The embedding is fixed at inference, so a convolution of width k over it is a sum of k rows, one for each place in
the window: `T[j] = E @ W[:, :, j].T`, and the window at t has the features `sum_j T[j][id[t + j]] + b`. PAD's embedding
is zero, hence so are its rows. No multiplication is left but the last linear layer, which is done in double
precision: its result, rounded to single, is then the same in every batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kuaixun.export.student.ngrams import ngram_buckets
from kuaixun.export.student.weights import StudentWeights
from kuaixun.export.text.vocabulary import PAD
from kuaixun.schemas.manifest import Architecture


class FoldedTextCNN(nn.Module):
    """ids (batch, tokens) int64, PAD only at the end of a row → logits (batch, classes) float64."""

    def __init__(self, architecture: Architecture, weights: StudentWeights) -> None:
        super().__init__()
        self.architecture = architecture
        embedding = torch.from_numpy(weights.embedding).double()  # (vocabulary, size)
        tables, biases = [], []
        for convolution, bias in zip(weights.convolutions, weights.convolution_biases, strict=True):
            places = torch.from_numpy(convolution).double().permute(2, 1, 0)  # (width, size, filters)
            tables.append((embedding @ places).flatten(0, 1).float())  # (width * vocabulary, filters)
            biases.append(torch.from_numpy(bias))
        self.tables = nn.ParameterList(nn.Parameter(table, requires_grad=False) for table in tables)
        self.biases = nn.ParameterList(nn.Parameter(bias, requires_grad=False) for bias in biases)
        self.linear = nn.Parameter(torch.from_numpy(weights.linear).double().T.contiguous(), requires_grad=False)
        self.linear_bias = nn.Parameter(torch.from_numpy(weights.linear_bias).double(), requires_grad=False)
        self.ngrams: nn.Parameter | None = None
        if weights.ngrams is not None:
            padded = F.pad(torch.from_numpy(weights.ngrams), (0, 0, 0, 1))  # (buckets + 1, classes)
            self.ngrams = nn.Parameter(padded, requires_grad=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Class scores before softmax."""
        starts = (ids != PAD).unsqueeze(2)  # (batch, tokens, 1)
        overhang = max(self.architecture.widths) - 1
        padded = F.pad(ids, (0, overhang), value=PAD)  # (batch, tokens + overhang)
        pooled = []
        for width, table, bias in zip(self.architecture.widths, self.tables, self.biases, strict=True):
            rows = torch.stack(
                [
                    padded[:, place : place + ids.shape[1]] + place * self.architecture.vocabulary_size
                    for place in range(width)
                ],
                dim=2,
            )  # (batch, tokens, width)
            windows = F.embedding_bag(rows.flatten(0, 1), table, mode="sum")  # (batch * tokens, filters)
            windows = (windows + bias).unflatten(0, (ids.shape[0], ids.shape[1]))  # (batch, tokens, filters)
            pooled.append((F.relu(windows) * starts).amax(dim=1))  # (batch, filters)
        features = torch.cat(pooled, dim=1).double()  # (batch, widths * filters)
        logits = features @ self.linear + self.linear_bias  # (batch, classes)
        if self.ngrams is not None and self.architecture.ngrams is not None:
            buckets = ngram_buckets(ids, self.architecture.ngrams)  # (batch, n-grams)
            last = self.ngrams.shape[0] - 1
            logits = logits + F.embedding_bag(buckets, self.ngrams, mode="sum", padding_idx=last)  # (batch, classes)
        return logits
