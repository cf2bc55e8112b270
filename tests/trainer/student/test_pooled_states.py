"""A training computes the student's states its own way: the same numbers and the same gradients as the student's."""

from __future__ import annotations

import pytest
import torch

from kuaixun.export.student.textcnn import TextCNN
from kuaixun.export.text.vocabulary import PAD
from kuaixun.schemas.manifest import Architecture
from kuaixun.trainer.student.pooled_states import pooled_states

IDS = torch.tensor(
    [
        [5, 6, 7, 8, 9, 10, 11],
        [5, 6, PAD, PAD, PAD, PAD, PAD],
        [12, PAD, PAD, PAD, PAD, PAD, PAD],
        [9, 9, 9, 9, 4, 4, PAD],
    ]
)


def student(*widths: int) -> TextCNN:
    torch.manual_seed(0)
    module = TextCNN(Architecture(vocabulary_size=20, embedding_size=8, widths=widths, filters=16), classes=3)
    for convolution in module.convolutions:
        # Above zero, where a window that does not count would show: its bias alone would be the maximum.
        torch.nn.init.constant_(convolution.get_parameter("bias"), 0.5)
    return module.double()


@pytest.mark.parametrize("widths", [(2, 3, 4), (1,), (3, 8)], ids=str)
def test_states_and_gradients_are_those_of_the_convolutions(widths: tuple[int, ...]) -> None:
    module = student(*widths)
    expected = module.pooled(IDS)
    found = pooled_states(module, IDS)
    torch.testing.assert_close(found, expected)

    towards = torch.randn(expected.shape, dtype=torch.float64)
    parameters = [module.embedding.weight, *module.convolutions.parameters()]
    torch.testing.assert_close(
        torch.autograd.grad(found, parameters, towards), torch.autograd.grad(expected, parameters, towards)
    )


def test_padding_behind_a_text_changes_nothing() -> None:
    module = student(2, 3)
    alone = pooled_states(module, IDS[1:2, :2])
    torch.testing.assert_close(pooled_states(module, IDS)[1:2], alone)


def test_in_mixed_precision_the_products_are_in_bfloat16() -> None:
    module = student(2, 3).float()
    with torch.autocast("cpu", torch.bfloat16):
        found = pooled_states(module, IDS)
    torch.testing.assert_close(found.float(), module.pooled(IDS), atol=0.02, rtol=0.02)
    assert not torch.equal(found.float(), module.pooled(IDS))
