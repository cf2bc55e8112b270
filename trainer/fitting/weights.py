"""What a module's numbers take."""

from __future__ import annotations

from torch import nn


def size_bytes(module: nn.Module) -> int:
    """On a disk, written as they are."""
    return sum(tensor.nbytes for tensor in module.state_dict().values())
