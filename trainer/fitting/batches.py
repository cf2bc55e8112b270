"""The order in which texts are met.

Training shuffles them plainly. Batches of texts of like length would save a quarter of the convolutions' work, and
were tried: length goes with class, so such batches are lopsided, and the dev loss after the same number of steps was
markedly higher. Evaluation has no such worry and sorts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def shuffled_batches(texts: int, batch_size: int, generator: torch.Generator) -> Sequence[Tensor]:
    """One epoch: row numbers (batch,) of each batch, every row once."""
    return torch.split(torch.randperm(texts, generator=generator), batch_size)


def batches_by_length(tokens: Tensor, batch_size: int) -> Sequence[Tensor]:
    """Row numbers of all texts, shortest first; `tokens` (n,) are the lengths of the rows."""
    return torch.split(tokens.argsort(stable=True), batch_size)
