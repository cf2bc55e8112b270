"""Reliability, and temperature scaling."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from kuaixun.trainer.evaluation.calibration import calibration_error, fit_temperature, reliability


def test_the_temperature_that_made_logits_overconfident_is_found_again() -> None:
    generator = torch.Generator().manual_seed(0)
    true = torch.randn(20000, 5, generator=generator, dtype=torch.float64) * 2
    label_ids = torch.multinomial(F.softmax(true, dim=1), 1, generator=generator).squeeze(1)

    assert fit_temperature(true * 2.5, label_ids) == pytest.approx(2.5, rel=0.03)


def test_no_temperature_near_it_has_a_lower_loss() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(300, 3, generator=generator)
    label_ids = torch.where(torch.rand(300, generator=generator) < 0.7, logits.argmax(dim=1), 0)

    found = fit_temperature(logits, label_ids)

    losses = [F.cross_entropy(logits.double() / (found * factor), label_ids).item() for factor in (0.98, 1.0, 1.02)]
    assert losses[1] == min(losses)


def test_logits_that_are_all_right_get_the_lowest_temperature_allowed() -> None:
    assert fit_temperature(torch.tensor([[9.0, 0.0], [0.0, 9.0]]), torch.tensor([0, 1])) == pytest.approx(0.05)


def test_calibration_error_weighs_each_bins_gap_by_its_texts() -> None:
    # Bins of 1/15: 0.95 twice in the last (half right), 0.65 once in the tenth (right).
    bins = reliability(np.array([True, False, True]), np.array([0.95, 0.95, 0.65]))

    assert calibration_error(bins) == pytest.approx((2 * 0.45 + 1 * 0.35) / 3)
    assert (bins[14].texts, bins[14].accuracy, bins[14].confidence) == (2, 0.5, 0.95)
    assert (bins[9].low, bins[9].high, bins[9].texts) == (9 / 15, 10 / 15, 1)
    assert bins[0].accuracy is None


def test_full_and_zero_confidence_lie_inside_the_bins() -> None:
    bins = reliability(np.array([True, False]), np.array([1.0, 0.0]))

    assert calibration_error(bins) == 0.0
    assert [one.texts for one in bins] == [1, *[0] * 13, 1]
