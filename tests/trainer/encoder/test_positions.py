"""A text may have as many tokens as the model has positions for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    MPNetConfig,
    MPNetModel,
    PreTrainedModel,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaModel,
)

from kuaixun.trainer.encoder.positions import expect_positions, positions_of
from kuaixun.trainer.errors import SettingError

SHAPE: dict[str, Any] = {
    "vocab_size": 10,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "intermediate_size": 8,
    "max_position_embeddings": 16,
}


@pytest.mark.parametrize(
    ("model", "positions"),
    [
        (BertModel(BertConfig(**SHAPE)), 16),
        (BertForMaskedLM(BertConfig(**SHAPE, pad_token_id=3)), 16),
        (RobertaModel(RobertaConfig(**SHAPE)), 14),
        (RobertaForMaskedLM(RobertaConfig(**SHAPE, pad_token_id=3)), 12),
        (MPNetModel(MPNetConfig(**SHAPE)), 14),
    ],
)
def test_positions_are_those_that_the_model_has_for_a_text(model: PreTrainedModel, positions: int) -> None:
    assert positions_of(model) == positions
    expect_positions(model, positions, "folder")
    model(torch.full((1, positions), 7), torch.ones((1, positions), dtype=torch.int64))
    with pytest.raises((IndexError, RuntimeError)):
        model(torch.full((1, positions + 1), 7), torch.ones((1, positions + 1), dtype=torch.int64))
    said = f"--max-tokens {positions + 1}: the model in folder has {positions} positions; pass no more"
    with pytest.raises(SettingError, match=said):
        expect_positions(model, positions + 1, "folder")
