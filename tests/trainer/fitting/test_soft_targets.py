"""Several teachers as one target."""

from __future__ import annotations

import pytest
import torch

from kuaixun.trainer.fitting.soft_targets import CHUNK_ROWS, SoftTargets

SURE = torch.tensor([[8.0, 0.0], [0.0, 8.0]], dtype=torch.float16)
UNSURE = torch.tensor([[0.0, 1.0], [0.0, 1.0]], dtype=torch.float16)


def test_weights_of_any_sum_become_shares_of_one() -> None:
    assert SoftTargets.weighted((SURE, UNSURE), (3.0, 1.0)).weights == (0.75, 0.25)


def test_the_target_is_the_weighted_mean_of_tempered_probabilities() -> None:
    found = SoftTargets.weighted((SURE, UNSURE), (3.0, 1.0)).probabilities(2.0)

    expected = 0.75 * torch.softmax(SURE.float() / 2, dim=1) + 0.25 * torch.softmax(UNSURE.float() / 2, dim=1)
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.float(), expected, atol=5e-4, rtol=0)


def test_its_gradient_is_the_weighted_mean_of_each_teachers_own() -> None:
    def gradient(teacher: torch.Tensor) -> torch.Tensor:
        logits = torch.tensor([[0.3, -0.2], [1.0, 2.0]], requires_grad=True)
        loss = torch.nn.functional.kl_div(logits.log_softmax(dim=1), teacher, reduction="batchmean")
        return torch.autograd.grad(loss, logits)[0]

    one, other = (SoftTargets((logits,), (1.0,)).probabilities(2.0).float() for logits in (SURE, UNSURE))
    both = SoftTargets.weighted((SURE, UNSURE), (3.0, 1.0)).probabilities(2.0).float()

    torch.testing.assert_close(gradient(both), 0.75 * gradient(one) + 0.25 * gradient(other), atol=1e-3, rtol=0)


def test_rows_past_the_first_chunk_are_those_of_their_own_logits() -> None:
    logits = torch.randn(CHUNK_ROWS + 5, 2, generator=torch.Generator().manual_seed(0)).half()

    found = SoftTargets((logits,), (1.0,)).probabilities(1.0)

    torch.testing.assert_close(found[-3:].float(), logits[-3:].float().softmax(dim=1), atol=5e-4, rtol=0)


def test_rows_are_picked_by_number() -> None:
    picked = SoftTargets.weighted((SURE, UNSURE), (1.0, 1.0)).of_rows(torch.tensor([1]))

    assert len(picked) == 1
    assert picked.logits[0].tolist() == [[0.0, 8.0]]
    assert picked.weights == pytest.approx((0.5, 0.5))
