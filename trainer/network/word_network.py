"""Convolutions, or a recurrent network in both directions, over characters and the words that they belong to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.network.lexicon import PAD, PLACES, unpacked
from kuaixun.trainer.number_ranges import expect_numbers

CONVOLUTIONAL, RECURRENT = "convolutional", "recurrent"
KINDS = (CONVOLUTIONAL, RECURRENT)
WIDTHS = (1, 2, 3, 4)
PLACE_SIZE = 16
LOWEST = -1e4  # below any state, and a number in half precision


@dataclass(frozen=True, slots=True)
class NetworkShape:
    """What is chosen of a network. `features` is the number of filters of each width, or the width of each direction.

    Raises SettingError for a number out of its range.
    """

    kind: str = CONVOLUTIONAL
    features: int = 384
    embedding_size: int = 200
    max_tokens: int = 32
    minimum_frequency: int = 3

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SettingError(f"the kind is {self.kind!r}; it must be one of {', '.join(KINDS)}")
        expect_numbers(
            self, "features", "embedding_size", "max_tokens", "minimum_frequency", at_least=1, at_most=1 << 16
        )


class WordNetwork(nn.Module):
    """ids (batch, tokens) of a lexicon → logits (batch, classes). Padding changes nothing."""

    def __init__(
        self, shape: NetworkShape, characters: int, words: int, word_size: int, classes: int, dropout: float
    ) -> None:
        super().__init__()
        self.characters = nn.Embedding(characters, shape.embedding_size, padding_idx=PAD)
        self.places = nn.Embedding(PLACES, PLACE_SIZE)
        self.words = nn.Embedding(words, word_size, sparse=True)
        width = shape.embedding_size + PLACE_SIZE + word_size
        self.reader = (
            Convolutions(width, shape.features) if shape.kind == CONVOLUTIONAL else Recurrence(width, shape.features)
        )
        self.linear = nn.Linear(self.reader.size, classes)
        self.input_dropout = nn.Dropout(dropout / 2)
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits (batch, classes)."""
        characters, places, words = unpacked(ids)
        filled = (ids != PAD)[..., None]  # (batch, tokens, 1)
        read = torch.cat([self.characters(characters), self.places(places), self.words(words)], dim=-1)
        features = self.reader(self.input_dropout(read * filled), filled)  # (batch, size)
        logits: Tensor = self.linear(self.dropout(features))
        return logits


class Convolutions(nn.Module):
    """The largest answer of each filter anywhere in the text, for filters of four widths."""

    def __init__(self, width: int, filters: int) -> None:
        super().__init__()
        self.filters = nn.ModuleList(nn.Linear(width * tokens, filters) for tokens in WIDTHS)
        self.size = filters * len(WIDTHS)

    def forward(self, read: Tensor, filled: Tensor) -> Tensor:
        """Features (batch, size) of `read` (batch, tokens, width). Windows may run out of the text, not begin there."""
        found = []
        for tokens, filters in zip(WIDTHS, self.filters, strict=True):
            windows = F.pad(read, (0, 0, 0, tokens - 1)).unfold(1, tokens, 1).flatten(2)  # (batch, tokens, width · t)
            found.append(filters(windows).float().masked_fill(~filled, 0.0).relu().amax(dim=1))
        return torch.cat(found, dim=1)


class Recurrence(nn.Module):
    """An LSTM in each direction; the largest and the mean of what the two and their input come to at each character."""

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.forwards = nn.LSTM(width, features, batch_first=True)
        self.backwards = nn.LSTM(width, features, batch_first=True)
        self.mixed = nn.Linear(2 * features + width, 2 * features)
        self.size = 4 * features

    def forward(self, read: Tensor, filled: Tensor) -> Tensor:
        """Features (batch, size) of `read` (batch, tokens, width). The way back begins at the text's own end."""
        tokens = filled.sum(dim=1)  # (batch, 1)
        places = torch.arange(read.shape[1], device=read.device)[None]  # (1, tokens)
        turned = torch.where(places < tokens, tokens - 1 - places, places)[..., None]  # (batch, tokens, 1)
        there, _ = self.forwards(read)
        back, _ = self.backwards(read.gather(1, turned.expand_as(read)))
        back = back.gather(1, turned.expand_as(back))
        states = F.gelu(self.mixed(torch.cat([there, back, read.to(there.dtype)], dim=-1))).float()
        highest = states.masked_fill(~filled, LOWEST).amax(dim=1)
        mean = (states * filled).sum(dim=1) / tokens
        return torch.cat([highest, mean], dim=1)
