"""New character embeddings for an encoder's body: how a model of one language begins to learn another.

Tokens that the old vocabulary holds as well (specials, digits, punctuation) keep their vectors. The others start from
pretrained character embeddings, turned to the model's width and brought to the old vectors' centre and length, or at
random there: the layers above expect inputs of that place and size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kuaixun.trainer.data.character_embeddings import CharacterEmbeddings
from kuaixun.trainer.data.cleaning import clean

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


def give_vocabulary(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    *,
    kept: Mapping[str, int],
    pretrained: CharacterEmbeddings | None,
    seed: int,
) -> int:
    """Put vectors for the tokenizer's tokens into `model`; returns how many came from `pretrained`.

    `kept` names the tokens that keep a vector, and its old row.
    """
    tokens = [str(token) for token in tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))]
    old = _table(model).detach().clone()  # (old tokens, hidden)
    vectors, found = first_vectors(tokens, old, kept=kept, pretrained=pretrained, seed=seed)
    if len(tokens) != len(old):
        model.resize_token_embeddings(len(tokens), mean_resizing=False)
    with torch.no_grad():
        _table(model).copy_(vectors)
    for role in ("pad", "bos", "eos"):
        setattr(model.config, f"{role}_token_id", getattr(tokenizer, f"{role}_token_id"))
    return found


def first_vectors(
    tokens: list[str],
    old: Tensor,
    *,
    kept: Mapping[str, int],
    pretrained: CharacterEmbeddings | None,
    seed: int,
) -> tuple[Tensor, int]:
    """Vectors (tokens, hidden) at the centre of `old` (old tokens, hidden) and as long, and how many are pretrained."""
    generator = torch.Generator().manual_seed(seed)
    centre = old.mean(dim=0)  # (hidden,)
    length = (old - centre).norm(dim=1).mean()
    vectors = torch.randn(len(tokens), old.shape[1], generator=generator)  # (tokens, hidden)
    found = 0
    if pretrained is not None:
        turned = _turned(pretrained, old.shape[1], generator)  # (rows, hidden)
        typical = turned.norm(dim=1).mean()
        vectors *= typical / old.shape[1] ** 0.5
        rows = pretrained.rows_after(clean)
        for index, token in enumerate(tokens):
            if token in rows:
                vectors[index] = turned[rows[token]]
                found += token not in kept
    vectors = centre + vectors * (length / vectors.norm(dim=1).mean())
    for index, token in enumerate(tokens):
        if token in kept:
            vectors[index] = old[kept[token]]
    return vectors, found


def _turned(pretrained: CharacterEmbeddings, width: int, generator: torch.Generator) -> Tensor:
    """The vectors, centred, in `width` dimensions: a random rotation keeps every angle where there is room for it."""
    vectors = torch.from_numpy(pretrained.vectors)  # (rows, size)
    used = vectors[list(pretrained.rows.values())]
    size = pretrained.size
    basis = torch.linalg.qr(torch.randn(max(width, size), min(width, size), generator=generator))[0]
    turned: Tensor = (vectors - used.mean(dim=0)) @ (basis.T if width >= size else basis)  # (rows, width)
    return turned


def _table(model: PreTrainedModel) -> Tensor:
    embeddings: Any = model.get_input_embeddings()
    table: Tensor = embeddings.weight
    return table
