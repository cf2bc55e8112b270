"""Temperature scaling: one number that makes confidences mean what they say.

Source: Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

LOWEST, HIGHEST = 0.05, 20.0
BISECTIONS = 60


def fit_temperature(logits: Tensor, label_ids: Tensor) -> float:
    """The temperature T that minimises the mean loss of softmax(logits / T): logits (n, classes), label_ids (n,).

    In 1 / T the loss is convex, so its slope has one zero; it is found by bisection, between 0.05 and 20: logits that
    are all right, or no better than chance, would have none.
    """
    double = logits.double()
    below, above = 1 / HIGHEST, 1 / LOWEST
    for _ in range(BISECTIONS):
        middle = (below + above) / 2
        inverse = torch.tensor(middle, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(F.cross_entropy(double * inverse, label_ids), inverse)
        below, above = (middle, above) if slope.item() <= 0 else (below, middle)
    return round(2 / (below + above), 6)


def calibrated_loss(logits: Tensor, label_ids: Tensor) -> float:
    """The mean loss at the temperature that fits best: not a number where a logit is none."""
    if not bool(torch.isfinite(logits).all()):
        return float("nan")
    return F.cross_entropy(logits.double() / fit_temperature(logits, label_ids), label_ids).item()
