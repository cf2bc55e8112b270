"""The course of the learning rates over a training."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch.optim.optimizer import Optimizer


def set_learning_rates(optimizers: Sequence[Optimizer], share: float) -> None:
    """Give every parameter the share of its full learning rate for the next step."""
    for optimizer in optimizers:
        group = optimizer.param_groups[0]
        group["lr"] = optimizer.defaults["lr"] * share


def course(step: int, steps: int, warm_up: float) -> float:
    """The share of the full learning rate at a step, counted from 0: a linear rise, then half a cosine down to zero."""
    rise = warm_up * steps
    if step < rise:
        return (step + 1) / (rise + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))
