"""What each precision of the native engine costs on dev texts, and which of them a bundle names as its default."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kuaixun.export.engine.interface import LOGIT_TOLERANCES
from kuaixun.export.student.quantisation import logits_in
from kuaixun.export.student.weights import StudentWeights
from kuaixun.schemas.manifest import Architecture, Precision, PrecisionCost, PrecisionCosts, PrecisionName

# The fastest precision is the default that loses no more than this against fp32.
LARGEST_LOSS = 0.001
LEAST_AGREEMENT = 0.995


def measure_precision(
    weights: StudentWeights, architecture: Architecture, ids: NDArray[np.int32], label_ids: NDArray[np.int64]
) -> Precision:
    """Compare every precision with fp32 on texts (n, tokens), each of at least one token, and their labels (n,)."""
    exact = logits_in("fp32", weights, architecture, ids)  # (n, classes)
    right = (exact.argmax(axis=1) == label_ids).mean()

    def cost(precision: PrecisionName) -> PrecisionCost:
        rounded = logits_in(precision, weights, architecture, ids)  # (n, classes)
        return PrecisionCost(
            accuracy_difference=_figure((rounded.argmax(axis=1) == label_ids).mean() - right),
            label_agreement=_figure((rounded.argmax(axis=1) == exact.argmax(axis=1)).mean()),
            largest_logit_difference=_figure(np.abs(rounded - exact).max()),
        )

    costs = PrecisionCosts(bf16=cost("bf16"), int8=cost("int8"))
    return Precision(default=default_precision(costs), costs=costs)


def default_precision(costs: PrecisionCosts) -> PrecisionName:
    """The fastest precision within a tenth of a point of fp32's accuracy and with 99.5 % of its labels.

    Its logits stay near enough, too, for an engine to pass the golden cases in it.
    """

    def is_near(cost: PrecisionCost, tolerance: float) -> bool:
        return (
            cost.accuracy_difference >= -LARGEST_LOSS
            and cost.label_agreement >= LEAST_AGREEMENT
            and cost.largest_logit_difference <= tolerance
        )

    if is_near(costs.int8, LOGIT_TOLERANCES["int8"]):
        return "int8"
    return "bf16" if is_near(costs.bf16, LOGIT_TOLERANCES["bf16"]) else "fp32"


def _figure(number: np.floating) -> float:
    """A figure as a manifest keeps it; no negative zero."""
    return round(float(number), 6) + 0.0
