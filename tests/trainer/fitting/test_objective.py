"""The distillation loss against its formula, term by term."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from kuaixun.trainer.fitting.objective import UNLABELLED, Batch, Objective

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(4, 3, generator=GENERATOR)
TEACHER = torch.randn(4, 3, generator=GENERATOR).softmax(dim=1)
LABELS = torch.tensor([0, 2, 1, 1])
IDS = torch.ones(4, 5, dtype=torch.int64)


def divergence(teacher: list[float], logits: list[float], temperature: float) -> float:
    """KL(teacher ‖ student) by hand."""
    total = sum(math.exp(one / temperature) for one in logits)
    student = [math.exp(one / temperature) / total for one in logits]
    return sum(p * math.log(p / q) for p, q in zip(teacher, student, strict=True))


def test_the_loss_is_alpha_of_the_teachers_divergence_times_t_squared_and_the_rest_of_cross_entropy() -> None:
    loss = Objective(alpha=0.8, temperature=2.0, label_smoothing=0.0).loss(LOGITS, Batch(IDS, LABELS, TEACHER))

    mean = sum(divergence(p, q, 2.0) for p, q in zip(TEACHER.tolist(), LOGITS.tolist(), strict=True)) / 4
    expected = 0.8 * 4 * mean + 0.2 * F.cross_entropy(LOGITS, LABELS).item()
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_a_student_that_says_what_its_teacher_says_has_nothing_to_learn_from_it() -> None:
    objective = Objective(alpha=1.0, temperature=3.0, label_smoothing=0.1)
    teacher = (LOGITS / 3.0).softmax(dim=1)

    assert objective.loss(LOGITS, Batch(IDS, LABELS, teacher)).item() == pytest.approx(0, abs=1e-6)


def test_the_divergence_is_the_mean_over_the_rows_that_a_teacher_scored() -> None:
    objective = Objective(alpha=1.0, temperature=2.0, label_smoothing=0.0)
    partly = TEACHER * torch.tensor([[1.0], [0.0], [1.0], [0.0]])

    found = objective.loss(LOGITS, Batch(IDS, None, partly)).item()

    assert found == pytest.approx(objective.loss(LOGITS[::2], Batch(IDS[::2], None, TEACHER[::2])).item(), rel=1e-5)
    assert objective.loss(LOGITS, Batch(IDS, None, TEACHER * 0)).item() == 0


def test_the_gradient_keeps_its_size_when_the_temperature_rises() -> None:
    def gradient(temperature: float) -> float:
        logits = (0.01 * LOGITS).requires_grad_()  # near zero, where 1 / T² is exact
        teacher = (-0.01 * LOGITS / temperature).softmax(dim=1)
        loss = Objective(1.0, temperature, 0.0).loss(logits, Batch(IDS, LABELS, teacher))
        return float(torch.autograd.grad(loss, logits)[0].norm())

    assert gradient(8.0) == pytest.approx(gradient(1.0), rel=0.02)


def test_labels_are_smoothed_and_teachers_are_not() -> None:
    batch = Batch(IDS, LABELS, TEACHER)
    plain, smoothed = (Objective(0.8, 2.0, smoothing).loss(LOGITS, batch).item() for smoothing in (0.0, 0.3))

    expected = F.cross_entropy(LOGITS, LABELS, label_smoothing=0.3) - F.cross_entropy(LOGITS, LABELS)
    assert smoothed - plain == pytest.approx(0.2 * expected.item(), rel=1e-4)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_rows_without_a_label_take_part_in_the_divergence_alone(smoothing: float) -> None:
    labels = torch.tensor([0, UNLABELLED, 1, UNLABELLED])
    objective = Objective(0.8, 2.0, smoothing)

    loss = objective.loss(LOGITS, Batch(IDS, labels, TEACHER)).item()

    taught = Objective(1.0, 2.0, smoothing).loss(LOGITS, Batch(IDS, None, TEACHER)).item()
    labelled = F.cross_entropy(LOGITS[[0, 2]], labels[[0, 2]], label_smoothing=smoothing).item()
    assert loss == pytest.approx(0.8 * taught + 0.2 * labelled, rel=1e-5)


def test_a_batch_without_any_label_has_a_loss_that_is_a_number() -> None:
    objective = Objective(0.5, 2.0, 0.1)

    taught = objective.loss(LOGITS, Batch(IDS, None, TEACHER)).item()

    assert taught == pytest.approx(0.5 * Objective(1.0, 2.0, 0.0).loss(LOGITS, Batch(IDS, LABELS, TEACHER)).item())


def test_labels_are_heard_where_they_move_the_loss() -> None:
    unlabelled = torch.full_like(LABELS, UNLABELLED)
    for alpha, batch, is_heard in (
        (0.8, Batch(IDS, LABELS, TEACHER), True),
        (1.0, Batch(IDS, LABELS, None), True),
        (1.0, Batch(IDS, LABELS, TEACHER), False),
        (0.8, Batch(IDS, unlabelled, TEACHER), False),
    ):
        objective = Objective(alpha=alpha, temperature=2.0, label_smoothing=0.0)
        assert objective.hears_labels(batch) is is_heard
