"""The default is the fastest precision that costs next to nothing."""

from __future__ import annotations

import numpy as np
import pytest

from kuaixun.export.student.quantisation import with_best_scales
from kuaixun.export.student.textcnn import TextCNN
from kuaixun.export.student.weights import StudentWeights
from kuaixun.schemas.manifest import Architecture, NgramBranch, PrecisionCost, PrecisionCosts
from kuaixun.trainer.evaluation import precision_costs
from kuaixun.trainer.evaluation.precision_costs import default_precision, measure_precision


def cost(accuracy_difference: float, label_agreement: float) -> PrecisionCost:
    return PrecisionCost(
        accuracy_difference=accuracy_difference, label_agreement=label_agreement, largest_logit_difference=0.1
    )


@pytest.mark.parametrize(
    ("bf16", "int8", "default"),
    [
        (cost(0.0, 1.0), cost(-0.001, 0.995), "int8"),
        (cost(0.0, 1.0), cost(0.002, 0.995), "int8"),
        (cost(0.0, 1.0), cost(-0.0011, 0.999), "bf16"),
        (cost(0.0, 1.0), cost(0.0, 0.9949), "bf16"),
        (cost(-0.002, 1.0), cost(0.0, 0.9), "fp32"),
        (cost(0.0, 0.99), cost(-0.01, 1.0), "fp32"),
    ],
)
def test_the_fastest_precision_that_keeps_accuracy_and_labels_is_the_default(
    bf16: PrecisionCost, int8: PrecisionCost, default: str
) -> None:
    assert default_precision(PrecisionCosts(bf16=bf16, int8=int8)) == default


def test_costs_are_counted_against_fp32_and_the_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = {
        "fp32": np.array([[2.0, 1.0], [2.0, 1.0], [1.0, 2.0], [1.0, 2.0]]),
        "bf16": np.array([[2.0, 1.0], [2.0, 1.0625], [1.0, 2.0], [1.0, 2.0]]),
        "int8": np.array([[2.0, 1.0], [2.0, 2.5], [1.0, 2.0], [1.0, 2.0]]),
    }
    monkeypatch.setattr(precision_costs, "logits_in", lambda precision, *_: logits[precision])
    architecture = Architecture(vocabulary_size=10)
    weights = StudentWeights.from_trained(
        {name: tensor.numpy() for name, tensor in TextCNN(architecture, 2).state_dict().items()}, architecture
    )

    measured = measure_precision(weights, architecture, np.ones((4, 1), np.int32), np.array([0, 0, 0, 1]))

    assert measured.costs.bf16 == PrecisionCost(
        accuracy_difference=0.0, label_agreement=1.0, largest_logit_difference=0.0625
    )
    assert measured.costs.int8 == PrecisionCost(
        accuracy_difference=-0.25, label_agreement=0.75, largest_logit_difference=1.5
    )
    assert measured.default == "bf16"


def test_a_real_student_is_measured_in_every_precision() -> None:
    architecture = Architecture(
        vocabulary_size=60, embedding_size=8, widths=(2, 5), filters=10, ngrams=NgramBranch(bucket_bits=4, size=2)
    )
    module = TextCNN(architecture, 3)
    weights = StudentWeights.from_trained(
        {name: tensor.numpy() for name, tensor in module.state_dict().items()}, architecture
    )
    generator = np.random.default_rng(0)
    ids = generator.integers(1, 60, size=(300, 12)).astype(np.int32)
    label_ids = generator.integers(0, 3, size=300)

    measured = measure_precision(with_best_scales(weights, ids), architecture, ids, label_ids)

    bf16, int8 = measured.costs.bf16, measured.costs.int8
    assert 0 < bf16.largest_logit_difference < int8.largest_logit_difference < 0.1
    assert min(bf16.label_agreement, int8.label_agreement) > 0.9
