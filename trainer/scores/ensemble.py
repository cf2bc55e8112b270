"""Several teachers as one: a weighted mean of their log-probabilities, the weights chosen on dev.

Each teacher is brought to its own temperature first, so that the loudest does not count for more than it knows. Then
the weights, at least 0 and 1 in sum, that give the lowest dev loss: a convex problem of as many numbers as teachers.
Where dev is scored by the mean of several folds, temperatures and weights are those of the mean. One fold alone, which
scores the rows that it has not seen, is a little less right than the mean for the same spread of its logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from kuaixun.trainer.evaluation.calibration import fit_temperature

STEPS = 300


@dataclass(frozen=True, slots=True)
class Blend:
    """The temperature and the weight of each teacher, and the dev loss of the mixture."""

    temperatures: tuple[float, ...]
    weights: tuple[float, ...]
    dev_loss: float

    def logits(self, members: Sequence[NDArray[np.floating]]) -> NDArray[np.float32]:
        """Log-probabilities (n, classes) of the mixture from each teacher's logits (n, classes)."""
        mixed = sum(
            (weight * part for weight, part in zip(self.weights, _calibrated(members, self.temperatures), strict=True)),
            start=torch.zeros(()),
        )  # (n, classes)
        result: NDArray[np.float32] = torch.log_softmax(mixed, dim=1).float().numpy()
        return result


def choose_blend(members: Sequence[NDArray[np.floating]], label_ids: NDArray[np.int64]) -> Blend:
    """The mixture with the lowest mean loss on these labels (n,), of each teacher's logits (n, classes).

    By exponentiated gradient, which never leaves the simplex. Source: Kivinen and Warmuth 1997, section 3.
    """
    truth = torch.from_numpy(label_ids)
    temperatures = tuple(fit_temperature(_double(logits), truth) for logits in members)
    parts = torch.stack(_calibrated(members, temperatures))  # (teachers, n, classes)
    weights = torch.full((len(members),), 1 / len(members), dtype=torch.float64)
    best, best_loss = weights, float("inf")
    rate = 1.0
    for _ in range(STEPS):
        loss, slope = _loss_and_slope(parts, weights, truth)
        if loss < best_loss:
            best, best_loss = weights, loss
            rate *= 1.1
        else:
            weights, rate = best, rate / 2
            _, slope = _loss_and_slope(parts, weights, truth)
        weights = torch.softmax(weights.clamp_min(1e-12).log() - rate * slope, dim=0)
    rounded = tuple(round(weight, 6) for weight in best.tolist())
    return Blend(temperatures, rounded, best_loss)


def _loss_and_slope(parts: Tensor, weights: Tensor, truth: Tensor) -> tuple[float, Tensor]:
    weights = weights.clone().requires_grad_()
    loss = F.cross_entropy(torch.einsum("m,mnc->nc", weights, parts), truth)
    (slope,) = torch.autograd.grad(loss, weights)
    return loss.item(), slope


def _calibrated(members: Sequence[NDArray[np.floating]], temperatures: Sequence[float]) -> list[Tensor]:
    return [
        torch.log_softmax(_double(logits) / temperature, dim=1)
        for logits, temperature in zip(members, temperatures, strict=True)
    ]


def _double(logits: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(logits.astype(np.float64))
