"""A tiny encoder with random weights, 2 layers of width 32, that knows the toy world's characters."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel

from kuaixun.trainer.encoder.tokenizer import character_tokenizer, counted_tokens
from tests.trainer.conftest import SHARED, TOPICS


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    folder = tmp_path / "encoder"
    tokenizer = character_tokenizer(counted_tokens([*TOPICS.values(), SHARED], size=100, minimum_frequency=1), 32)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
        initializer_range=0.2,  # small ones would need far more steps than a test has
    )
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
