"""Batches for masked-language pre-training: pieces of one length together, spans of their tokens hidden.

Every random choice follows from the seed and the number of the pass or step alone, so that a training that was
interrupted goes on with the very batches and masks that it would have met.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kuaixun.trainer.encoder.token_array import TokenArray

SPANS = (1, 2, 3)  # lengths of hidden spans, equally likely
KEPT, REPLACED = 0.10, 0.05  # shares of hidden places that show the token itself, and any other
ORDER, MASKS, HELD_OUT = range(3)  # what a random choice is for


@dataclass(frozen=True, slots=True)
class TokenIds:
    """What a batch is made of beside the pieces: ids of the specials, the size of the vocabulary."""

    pad: int
    cls: int
    sep: int
    mask: int
    specials: tuple[int, ...]
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class MaskedBatch:
    """`ids` (batch, tokens) int64 as shown; `hidden` (batch, tokens) bool; `truth` (hidden places,) int64.

    `attention` (batch, tokens) int64 is None where no row is padded.
    """

    ids: Tensor
    hidden: Tensor
    truth: Tensor
    attention: Tensor | None

    def to(self, device: torch.device) -> MaskedBatch:
        """The same on the device."""
        attention = None if self.attention is None else self.attention.to(device, non_blocking=True)
        ids, hidden, truth = (one.to(device, non_blocking=True) for one in (self.ids, self.hidden, self.truth))
        return MaskedBatch(ids, hidden, truth, attention)


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """One file's pieces, and the share of them that each pass meets."""

    tokens: TokenArray
    share: float = 1.0


def hold_out(corpora: Sequence[Corpus], pieces: int, seed: int) -> tuple[list[Corpus], list[Corpus]]:
    """What to learn from and, apart from it, about so many pieces to measure on, as many of each file as a pass meets.

    A tenth of a file is held out at most.
    """
    met = [len(corpus.tokens) * corpus.share for corpus in corpora]
    learnt, held = [], []
    for number, corpus in enumerate(corpora):
        everything = len(corpus.tokens)
        wanted = min(round(pieces * met[number] / max(sum(met), 1.0)), everything // 10)
        order = np.random.default_rng((seed, HELD_OUT, number)).permutation(everything)
        held.append(Corpus(corpus.tokens.take(np.sort(order[:wanted]))))
        learnt.append(Corpus(corpus.tokens.take(np.sort(order[wanted:])), corpus.share))
    return learnt, held


def one_pass(corpora: Sequence[Corpus], batch_tokens: int, seed: int, number: int) -> list[NDArray[np.int64]]:
    """The batches of pass `number` in random order: piece numbers (batch,), counted through all corpora.

    Pieces are sorted by length, equal ones in random order, and cut where the length changes, so that hardly a batch
    is padded: padding would be a quarter of the work. Rests too small for a batch of their own join the next length.
    """
    chance = np.random.default_rng((seed, ORDER, number))
    met, lengths, before = [], [], 0
    for corpus in corpora:
        pieces = len(corpus.tokens)
        chosen = chance.permutation(pieces)[: round(pieces * corpus.share)]
        met.append(chosen + before)
        lengths.append(corpus.tokens.lengths[chosen])
        before += pieces
    order = chance.permutation(sum(map(len, met)))
    pieces_met, tokens = np.concatenate(met)[order], np.concatenate(lengths)[order] + 2
    by_length = np.argsort(tokens, kind="stable")
    pieces_met, tokens = pieces_met[by_length], tokens[by_length]
    batches, start = [], 0
    while start < len(tokens):
        full = max(1, batch_tokens // int(tokens[start]))
        end = start + int(np.searchsorted(tokens[start : start + full], tokens[start], side="right"))
        if end - start < full // 3:
            longest = int(tokens[min(start + full, len(tokens)) - 1])
            end = min(start + max(1, batch_tokens // longest), len(tokens))
        batches.append(pieces_met[start:end])
        start = end
    return [batches[index] for index in chance.permutation(len(batches)).tolist()]


def show(corpora: Sequence[Corpus], pieces: NDArray[np.int64], special: TokenIds) -> NDArray[np.int64]:
    """Ids (batch, tokens) of the pieces between their specials, padded to the longest."""
    rows = list(_rows(corpora, pieces))
    ids = np.full((len(rows), max(map(len, rows)) + 2), special.pad, dtype=np.int64)
    ids[:, 0] = special.cls
    for row, tokens in enumerate(rows):
        ids[row, 1 : len(tokens) + 1] = tokens
        ids[row, len(tokens) + 1] = special.sep
    return ids


def hide(ids: NDArray[np.int64], special: TokenIds, share: float, chance: np.random.Generator) -> MaskedBatch:
    """Hide about `share` of the tokens, in spans of one to three: a character alone is guessed from its word.

    Specials, the unknown token among them, are never hidden; a batch holds one token at least that is none.

    Of the hidden places 85 % show [MASK], 10 % the token itself, 5 % any other that is no special, for fine-tuning
    shows no [MASK].
    Source: Joshi et al. 2020, SpanBERT, section 3.1 (spans); Wettig et al. 2023 (shares above 15 %).
    """
    begins = chance.random(ids.shape) < begin_share(share)
    spans = chance.integers(SPANS[0], SPANS[-1] + 1, ids.shape)
    hidden = begins.copy()
    for distance in SPANS[:-1]:
        hidden[:, distance:] |= (begins & (spans > distance))[:, :-distance]
    hidden &= ~np.isin(ids, special.specials)
    if not hidden.any():  # a loss over nothing is not a number
        first = np.argwhere(~np.isin(ids, special.specials))[0]
        hidden[first[0], first[1]] = True
    shown, choice = ids.copy(), chance.random(ids.shape)
    shown[hidden & (choice < 1 - KEPT - REPLACED)] = special.mask
    replaced = hidden & (choice >= 1 - REPLACED)
    shown[replaced] = _others(ids[replaced], special, chance)
    padded = ids == special.pad
    return MaskedBatch(
        ids=torch.from_numpy(shown),
        hidden=torch.from_numpy(hidden),
        truth=torch.from_numpy(ids[hidden]),
        attention=torch.from_numpy((~padded).astype(np.int64)) if padded.any() else None,
    )


def _others(ids: NDArray[np.int64], special: TokenIds, chance: np.random.Generator) -> NDArray[np.int64]:
    """For each of the ids (n,), none of a special, any other such id (n,); itself where the vocabulary has no other."""
    ordinary = np.delete(np.arange(special.size), special.specials)
    steps = chance.integers(1, max(2, len(ordinary)), len(ids))  # (n,), a whole round is never among them
    others: NDArray[np.int64] = ordinary[(np.searchsorted(ordinary, ids) + steps) % len(ordinary)]
    return others


def begin_share(share: float) -> float:
    """How often a span must begin so that a token is hidden with probability `share`.

    A token stays when no span of at least k begins k - 1 places before it, for k = 1, 2, 3: with p the probability
    that one begins, 1 - share = (1 - p)(1 - 2p/3)(1 - p/3). Solved by bisection.
    """
    below, above = 0.0, 1.0
    for _ in range(50):
        middle = (below + above) / 2
        hidden = 1 - (1 - middle) * (1 - middle * 2 / 3) * (1 - middle / 3)
        below, above = (middle, above) if hidden < share else (below, middle)
    return above


def _rows(corpora: Sequence[Corpus], pieces: NDArray[np.int64]) -> Iterator[NDArray[np.int32]]:
    ends = np.cumsum([len(corpus.tokens) for corpus in corpora])
    owners = np.searchsorted(ends, pieces, side="right")
    for piece, owner in zip(pieces.tolist(), owners.tolist(), strict=True):
        tokens = corpora[owner].tokens
        index = piece - int(ends[owner]) + len(tokens)
        yield tokens.ids[tokens.offsets[index] : tokens.offsets[index + 1]]
