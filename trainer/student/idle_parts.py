"""What a trained student can do without: filters of no weight in its last layer, and n-grams whose scores are zero."""

from __future__ import annotations

import msgspec
import torch
from torch import Tensor

from kuaixun.schemas.manifest import Architecture

State = dict[str, Tensor]


def without_idle_parts(architecture: Architecture, state: State) -> tuple[Architecture, State]:
    """The student without its last filters, if their columns are zero in every class, and without a table of zeros.

    `state` is that of a TextCNN of one width; of several nothing is left out. Its logits are the same, to the bit.
    """
    if len(architecture.widths) == 1:
        counting = state["linear.weight"].abs().amax(dim=0).nonzero()  # (filters that count, 1)
        filters = max(int(counting.max()) + 1, 1) if len(counting) else 1
        architecture = msgspec.structs.replace(architecture, filters=filters)
        state = {
            **state,
            "linear.weight": state["linear.weight"][:, :filters].clone(),
            "convolutions.0.weight": state["convolutions.0.weight"][:filters].clone(),
            "convolutions.0.bias": state["convolutions.0.bias"][:filters].clone(),
        }
    if architecture.ngrams is not None and not torch.any(state["ngrams.table"]):
        architecture = msgspec.structs.replace(architecture, ngrams=None)
        state = {name: tensor for name, tensor in state.items() if not name.startswith("ngrams.")}
    return architecture, state
