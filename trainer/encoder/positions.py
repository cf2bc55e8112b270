"""How long a text may be for a pretrained model: as many tokens as it has positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from kuaixun.trainer.errors import SettingError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def expect_positions(model: PreTrainedModel, max_tokens: int, name: str) -> None:
    """Raise SettingError where the model of this folder or hub name has fewer positions than texts may have tokens."""
    positions = positions_of(model)
    if positions is not None and positions < max_tokens:
        raise SettingError(f"--max-tokens {max_tokens}: the model in {name} has {positions} positions; pass no more")


def positions_of(model: PreTrainedModel) -> int | None:
    """The most tokens that a text may have, specials included; None where nothing limits them.

    RoBERTa and its kin count from behind the id of the padding token, whose row, and those before it, are no text's.
    """
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding) and module.padding_idx is not None:
            return module.num_embeddings - module.padding_idx - 1
    positions: int | None = getattr(model.config, "max_position_embeddings", None)
    return positions
