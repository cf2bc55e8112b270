"""The mixture is at least as good on dev as its best member, and weighs nobody below zero."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from kuaixun.trainer.scores.ensemble import choose_blend

CHANCE = np.random.default_rng(0)
TRUTH = CHANCE.integers(0, 4, 2000)


def teacher(strength: float, loudness: float = 1.0) -> np.ndarray:
    logits = CHANCE.normal(0, 1, (len(TRUTH), 4))
    logits[np.arange(len(TRUTH)), TRUTH] += strength
    return (logits * loudness).astype(np.float32)


def loss(logits: np.ndarray) -> float:
    return F.cross_entropy(torch.from_numpy(logits.astype(np.float64)), torch.from_numpy(TRUTH)).item()


def test_two_unlike_teachers_are_better_together_and_loudness_counts_for_nothing() -> None:
    quiet, loud = teacher(2.0), teacher(2.0, loudness=10.0)

    blend = choose_blend([quiet, loud], TRUTH)

    assert sum(blend.weights) == pytest.approx(1)
    assert blend.weights == pytest.approx((0.5, 0.5), abs=0.1)
    assert blend.temperatures[1] == pytest.approx(10 * blend.temperatures[0], rel=0.1)
    assert loss(blend.logits([quiet, loud])) < loss(quiet) - 0.05
    assert loss(blend.logits([quiet, loud])) == pytest.approx(blend.dev_loss, abs=1e-4)


def test_a_teacher_that_knows_nothing_gets_no_weight() -> None:
    good, noise = teacher(3.0), teacher(0.0)

    blend = choose_blend([noise, good], TRUTH)

    assert blend.weights[0] < 0.02
    assert min(blend.weights) >= 0


def test_the_weights_are_those_of_the_lowest_loss() -> None:
    members = [teacher(2.0), teacher(1.0), teacher(1.5)]
    blend = choose_blend(members, TRUTH)

    for shift in (0.05, -0.05):
        other = np.array(blend.weights) + np.array([shift, -shift / 2, -shift / 2])
        moved = sum(
            weight * torch.log_softmax(torch.from_numpy(logits.astype(np.float64)) / temperature, dim=1).numpy()
            for weight, logits, temperature in zip(other, members, blend.temperatures, strict=True)
        )
        assert loss(moved) >= blend.dev_loss


def test_log_probabilities_are_what_comes_out() -> None:
    blend = choose_blend([teacher(1.0), teacher(1.0)], TRUTH)

    logits = blend.logits([teacher(1.0), teacher(1.0)])

    np.testing.assert_allclose(np.exp(logits).sum(axis=1), 1, rtol=1e-5)
