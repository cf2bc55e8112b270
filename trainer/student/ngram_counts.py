"""How often each n-gram stands in each text, and what class scores make of it, for as long as the last layer is fitted.

Five hundred times fewer numbers than a dense matrix, and products faster than an embedding bag's by far.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class NgramCounts:
    """The counts, and the same turned round: both sparse, by rows."""

    columns: Tensor  # (n-grams,) their buckets, ascending
    matrix: Tensor  # (texts, n-grams)
    transposed: Tensor  # (n-grams, texts)

    @classmethod
    def of(cls, rows: Tensor, buckets: Tensor, texts: int, columns: Tensor | None) -> NgramCounts:
        """Of n-grams found in `rows` (found,) of as many texts, in these buckets (found,).

        With `columns` those in other buckets do not count; without, each bucket that was found is one.
        """
        if columns is None:
            columns, places = torch.unique(buckets, return_inverse=True)  # (n-grams,), (found,)
        else:
            known = torch.isin(buckets, columns)  # (found,)
            rows, places = rows[known], torch.searchsorted(columns, buckets[known])
        indices, shape = torch.stack([rows, places]), (texts, len(columns))  # (2, found)
        ones = torch.ones(len(rows), device=rows.device)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse ")  # unchecked, and in beta
            matrix = torch.sparse_coo_tensor(indices, ones, shape).coalesce()
            return cls(columns, matrix.to_sparse_csr(), matrix.t().coalesce().to_sparse_csr())

    def presence_in(self, numbers: Tensor) -> Tensor:
        """Numbers (texts, n) summed over the texts that have each n-gram: (n-grams, n)."""
        present = torch.sparse_csr_tensor(
            self.transposed.crow_indices(),
            self.transposed.col_indices(),
            torch.ones_like(self.transposed.values()),
            self.transposed.shape,
        )
        return present @ numbers

    def times(self, scores: Tensor) -> Tensor:
        """Scores (n-grams, classes), summed over each text: (texts, classes), with a gradient for the scores."""
        product: Tensor = _Product.apply(self, scores)  # type: ignore[no-untyped-call]
        return product


class _Product(torch.autograd.Function):
    """Counts times scores (n-grams, classes): (texts, classes), with a gradient for the scores."""

    @staticmethod
    def forward(context: Any, counts: NgramCounts, scores: Tensor) -> Tensor:
        """Remember the counts, multiply."""
        context.counts = counts
        return counts.matrix @ scores

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[None, Tensor]:
        """Of the scores, (n-grams, classes)."""
        return None, context.counts.transposed @ gradient
