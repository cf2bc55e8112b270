"""The model that guesses hidden characters: a new one, or one that goes on from a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kuaixun.trainer.encoder.masked_batches import MaskedBatch, TokenIds
from kuaixun.trainer.encoder.positions import expect_positions
from kuaixun.trainer.encoder.pretrained_folders import open_model
from kuaixun.trainer.errors import SettingError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

FEWEST_POSITIONS = 128
PLACES_STEP = 256


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """What is chosen of a new BERT. Raises SettingError where the heads do not divide the width."""

    layers: int = 6
    hidden: int = 384
    heads: int = 12
    intermediate: int = 1536

    def __post_init__(self) -> None:
        if self.hidden % self.heads:
            raise SettingError(
                f"--hidden {self.hidden} is no multiple of --heads {self.heads}; each head gets an equal part of it"
            )


def new_model(shape: EncoderShape, tokenizer: PreTrainedTokenizerFast, max_tokens: int) -> PreTrainedModel:
    """A BERT with random weights, drawn from torch's generator.

    Nothing is dropped in pre-training, which meets each text a few times only; fine-tuning sets its own dropout.
    """
    from transformers import BertConfig, BertForMaskedLM

    return BertForMaskedLM(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=shape.hidden,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            intermediate_size=shape.intermediate,
            max_position_embeddings=max(FEWEST_POSITIONS, max_tokens),
            pad_token_id=special_ids(tokenizer).pad,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )


def continued_model(name: str, max_tokens: int) -> PreTrainedModel:
    """A masked language model from a Hugging Face folder, without dropout; a head that is not there starts anew.

    Raises SettingError.
    """
    from transformers import AutoModelForMaskedLM

    model: PreTrainedModel = open_model(AutoModelForMaskedLM, name, "--from", dtype=torch.float32)
    expect_positions(model, max_tokens, name)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


def special_ids(tokenizer: PreTrainedTokenizerFast) -> TokenIds:
    """The ids that batches need. Raises SettingError for a tokenizer without one of them."""
    found = {}
    for role in ("pad", "cls", "sep", "mask"):
        token_id = getattr(tokenizer, f"{role}_token_id")
        if not isinstance(token_id, int):
            raise SettingError(f"--from: its tokenizer has no {role} token; pass --new-vocabulary")
        found[role] = token_id
    return TokenIds(**found, specials=tuple(sorted(set(tokenizer.all_special_ids))), size=len(tokenizer))


def masked_loss(model: PreTrainedModel, batch: MaskedBatch, *, bfloat16: bool) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy over the hidden places, and how many of them are guessed right.

    Only hidden places go through the output layer: its size is that of the vocabulary, and all places through it
    would cost a small model a third of its time.
    """
    from transformers import BertForMaskedLM

    with torch.autocast(batch.ids.device.type, torch.bfloat16, enabled=bfloat16):
        if isinstance(model, BertForMaskedLM):
            states = model.bert(batch.ids, attention_mask=batch.attention).last_hidden_state  # (batch, tokens, hidden)
            logits = model.cls(_in_round_number(states[batch.hidden]))[: len(batch.truth)]  # (places, vocabulary)
        else:
            logits = model(batch.ids, attention_mask=batch.attention).logits[batch.hidden]
    right = (logits.detach().argmax(dim=-1) == batch.truth).sum()
    return F.cross_entropy(logits.float(), batch.truth), right


def _in_round_number(states: Tensor) -> Tensor:
    """The states (places, hidden) and rows of zeros up to a multiple of PLACES_STEP.

    The number of hidden places is another in every step, and oneDNN compiles and keeps a kernel for each number that
    it meets: gigabytes within the hour.
    """
    return F.pad(states, (0, 0, 0, -len(states) % PLACES_STEP))
