"""The student as it is served: convolutions folded, exactly, into sums of table rows.

The embedding is fixed at inference, so a convolution of width k over it is a sum of k rows, one for each place in
the window: `T[j] = E @ W[:, :, j].T`, and the window at t has the features `sum_j T[j][id[t + j]] + b`. PAD's embedding
is zero, hence so are its rows. No multiplication is left but the last linear layer, which is done in double
precision: what the order of its additions changes from batch to batch is then far less than a prediction shows.

**Windows that do not count** start on PAD, and nothing but PAD follows. The bias is added to the rows of the first
place, all but PAD's; so such a window sums to zero, and zero is the least that ReLU leaves of the maximum anyway.

**What bounds the speed** is memory: nine rows of a thousand bytes a token, and the windows they sum to. So the filters
are cut into slices, each a table of its own: the rows that a group of texts has in common and its windows then stay in
a core's cache from one operation to the next. Time goes first in all of them, as it is what the maximum runs over.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kuaixun.export.student.ngrams import ngram_hashes, owned_buckets
from kuaixun.export.student.weights import StudentWeights
from kuaixun.export.text.vocabulary import PAD
from kuaixun.schemas.manifest import Architecture

# 512 bytes of a row. Half as many are as fast in large batches and slower for one text, twice as many the reverse.
SLICE_FILTERS = 128


class FoldedTextCNN(nn.Module):
    """ids (batch, tokens) int64, PAD only at the end of a row → logits (batch, classes) float64.

    `slice_filters` is how many filters a table holds; it changes the speed alone.
    """

    def __init__(
        self, architecture: Architecture, weights: StudentWeights, *, slice_filters: int = SLICE_FILTERS
    ) -> None:
        super().__init__()
        self.architecture = architecture
        embedding = torch.from_numpy(weights.embedding.numbers).double()  # (vocabulary, size)
        self.tables = nn.ParameterList()  # the slices of the first width, then those of the next
        for convolution, bias in zip(weights.convolutions, weights.convolution_biases, strict=True):
            places = torch.from_numpy(convolution).double().permute(2, 1, 0)  # (width, size, filters)
            rows = embedding @ places  # (width, vocabulary, filters)
            rows[0, PAD + 1 :] += torch.from_numpy(bias).double()
            for table in torch.split(rows.flatten(0, 1).float(), slice_filters, dim=1):  # (width * vocabulary, slice)
                self.tables.append(nn.Parameter(table.contiguous(), requires_grad=False))
        # Half the size of int64 to build and to read; Architecture keeps the number of rows far below 2^31.
        first_rows = torch.arange(max(architecture.widths), dtype=torch.int32) * architecture.vocabulary_size
        self.first_rows: Tensor
        self.register_buffer("first_rows", first_rows.unsqueeze(1))  # (places, 1): where the rows of a place begin
        self.linear = nn.Parameter(torch.from_numpy(weights.linear).double().T.contiguous(), requires_grad=False)
        self.linear_bias = nn.Parameter(torch.from_numpy(weights.linear_bias).double(), requires_grad=False)
        self.ngrams: nn.Parameter | None = None
        if weights.ngrams is not None:
            self.owners: Tensor
            # As wide as the hashes that they are compared with, which saves a conversion.
            self.register_buffer("owners", torch.from_numpy(weights.ngrams.owners).long())  # (buckets,)
            # Whole numbers, though as the floats that an embedding bag takes: their sum is exact in any order.
            steps = torch.from_numpy(weights.ngrams.scores.steps).float()
            self.ngrams = nn.Parameter(F.pad(steps, (0, 0, 0, 1)), requires_grad=False)  # (buckets + 1, classes)
            self.ngram_scales: Tensor
            self.register_buffer(
                "ngram_scales", torch.from_numpy(weights.ngrams.scores.scales).double()
            )  # (1, classes)

    def forward(self, ids: Tensor) -> Tensor:
        """Class scores before softmax."""
        features = F.relu(self._maxima(ids)).double()  # (batch, widths * filters)
        logits = torch.addmm(self.linear_bias, features, self.linear)  # (batch, classes)
        if self.ngrams is not None and self.architecture.ngrams is not None:
            buckets = owned_buckets(ngram_hashes(ids, self.architecture.ngrams), self.owners)  # (batch, n-grams)
            # The row of those that own none is zero; to name it as padding would cost torch's fast path.
            steps = F.embedding_bag(buckets.int(), self.ngrams, mode="sum")  # (batch, classes)
            logits = torch.addcmul(logits, steps.double(), self.ngram_scales)  # (batch, classes)
        return logits

    def _maxima(self, ids: Tensor) -> Tensor:
        """The maximum over time of every filter, bias included: (batch, tokens) → (batch, widths * filters)."""
        batch, tokens = ids.shape
        widest = max(self.architecture.widths)
        by_time = F.pad(ids.t().int(), (0, 0, 0, widest - 1), value=PAD)  # (tokens + overhang, batch)
        places = torch.stack([by_time[place : place + tokens] for place in range(widest)], dim=1)
        places = places + self.first_rows  # (tokens, places, batch)
        rows = [
            places[:, :width].transpose(1, 2).reshape(-1, width)  # (tokens * batch, width)
            for width in self.architecture.widths
        ]
        slices = len(self.tables) // len(rows)
        maxima = [
            # One expression, so that the windows are freed, and their memory still in the cache is taken for the next;
            # flat, so that the maximum runs over long rows.
            F.embedding_bag(rows[number // slices], table, mode="sum").view(tokens, -1).amax(dim=0).view(batch, -1)
            for number, table in enumerate(self.tables)
        ]  # (batch, slice) each
        return torch.cat(maxima, dim=1)
