"""Do confidences mean what they say? Measured in bins, and mended by one number, the temperature.

Source: Guo et al. 2017, On Calibration of Modern Neural Networks, sections 2 (reliability) and 4.2 (temperature).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

LOWEST, HIGHEST = 0.05, 20.0
BISECTIONS = 60
RELIABILITY_BINS = 15


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Texts whose confidence lies above `low` and up to `high`; the means are None where there are none."""

    low: float
    high: float
    texts: int
    confidence: float | None
    accuracy: float | None


def reliability(right: NDArray[np.bool_], confidences: NDArray[np.float64]) -> tuple[ReliabilityBin, ...]:
    """The 15 equal bins of a reliability diagram; confidence 0 lies in the first."""
    places = np.ceil(confidences * RELIABILITY_BINS).astype(np.int64) - 1  # (n,)
    places = np.clip(places, 0, RELIABILITY_BINS - 1)
    texts = np.bincount(places, minlength=RELIABILITY_BINS)  # (bins,)
    confidence = np.bincount(places, confidences, RELIABILITY_BINS)  # (bins,)
    hits = np.bincount(places, right, RELIABILITY_BINS)  # (bins,)
    return tuple(
        ReliabilityBin(
            low=place / RELIABILITY_BINS,
            high=(place + 1) / RELIABILITY_BINS,
            texts=int(count),
            confidence=float(confidence[place] / count) if count else None,
            accuracy=float(hits[place] / count) if count else None,
        )
        for place, count in enumerate(texts)
    )


def calibration_error(bins: tuple[ReliabilityBin, ...]) -> float:
    """Expected calibration error: the gap between confidence and accuracy, weighted by each bin's texts.

    Source: Guo et al. 2017, equation 3.
    """
    gaps = sum(one.texts * abs((one.accuracy or 0.0) - (one.confidence or 0.0)) for one in bins)
    return gaps / sum(one.texts for one in bins)


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
