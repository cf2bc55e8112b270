"""Texts for pre-training as one flat array of token ids: made once, kept in a cache, read in a second.

    lines → cleaned → cut at sentence ends → token ids → sentences of a line packed to pieces of at most so many tokens

An hour on a GPU is too dear for tokenising. The cache's name is the hash of all that the array follows from: the
texts, their cleaning, the tokenizer, the length of pieces; so there is nothing to keep up to date.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kuaixun.export.batches import in_batches
from kuaixun.trainer.data.character_embeddings import DAMAGE
from kuaixun.trainer.data.cleaning import clean, cleaning_sha256
from kuaixun.trainer.data.content_hash import sha256_of_texts
from kuaixun.trainer.data.text_lines import TextLines

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

VERSION = 3
BATCH_LINES = 10_000
FEWEST_TOKENS = 4
SENTENCE_ENDS = re.compile(r"(?<=[。!?;…])|(?<=\. )")


@dataclass(frozen=True, slots=True, eq=False)
class TokenArray:
    """Pieces of text end to end: `ids` (tokens,), without specials; piece i is `ids[offsets[i] : offsets[i + 1]]`."""

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each piece (pieces,)."""
        return np.diff(self.offsets)

    def take(self, pieces: NDArray[np.int64]) -> TokenArray:
        """The pieces named, in that order."""
        parts = [self.ids[self.offsets[piece] : self.offsets[piece + 1]] for piece in pieces.tolist()]
        ids = np.concatenate(parts) if parts else np.empty(0, dtype=np.int32)
        return TokenArray(ids, np.concatenate([[0], np.cumsum(self.lengths[pieces])]))


def cached_tokens(
    lines: TextLines,
    tokenizer: PreTrainedTokenizerFast,
    piece_tokens: int,
    cache: Path | None,
    progress: Callable[[int], None] = lambda lines_done: None,
) -> TokenArray:
    """The file's pieces of at most `piece_tokens` tokens, from the cache folder where they are there already."""
    if cache is None:
        return tokenise(lines.texts, tokenizer, piece_tokens, progress)
    vocabulary = tokenizer.backend_tokenizer.to_str()
    parts = (VERSION, sha256_of_texts(lines.texts), cleaning_sha256(), piece_tokens, vocabulary)
    key = hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()
    path = cache / f"tokens-{key[:32]}.npz"
    found = _read(path)
    if found is None:
        found = tokenise(lines.texts, tokenizer, piece_tokens, progress)
        _write(path, found)
    return found


def tokenise(
    texts: Sequence[str],
    tokenizer: PreTrainedTokenizerFast,
    piece_tokens: int,
    progress: Callable[[int], None] = lambda lines_done: None,
) -> TokenArray:
    """Cut and encode raw texts.

    Pieces of fewer than four tokens teach nothing, nor do those without one that the vocabulary knows: both are left
    out.
    """
    specials = frozenset(tokenizer.all_special_ids)  # the unknown token is one of them
    ids: list[NDArray[np.int32]] = []
    lengths: list[int] = []
    done = 0
    for batch in in_batches(texts, BATCH_LINES):
        lines = [SENTENCE_ENDS.split(text) for text in clean(batch)]
        sentences = [sentence for line in lines for sentence in line]
        encoded = tokenizer(sentences, add_special_tokens=False, return_attention_mask=False, verbose=False)
        sentence_ids: Iterator[list[int]] = iter(encoded["input_ids"])
        for line in lines:
            for piece in _pieces([next(sentence_ids) for _ in line], piece_tokens):
                if len(piece) >= FEWEST_TOKENS and not specials.issuperset(piece):
                    ids.append(np.array(piece, dtype=np.int32))
                    lengths.append(len(piece))
        done += len(batch)
        progress(done)
    flat = np.concatenate(ids) if ids else np.empty(0, dtype=np.int32)
    return TokenArray(flat, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))


def _pieces(sentences: Sequence[list[int]], piece_tokens: int) -> Iterator[list[int]]:
    """Consecutive sentences joined while they fit; a sentence that is too long by itself is cut where it must be."""
    piece: list[int] = []
    for sentence in sentences:
        if piece and len(piece) + len(sentence) > piece_tokens:
            yield piece
            piece = []
        piece = piece + sentence
        while len(piece) > piece_tokens:
            yield piece[:piece_tokens]
            piece = piece[piece_tokens:]
    if piece:
        yield piece


def _read(path: Path) -> TokenArray | None:
    """The array in the cache, or None where there is none, or a damaged one."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return TokenArray(archive["ids"].astype(np.int32), archive["offsets"])
    except (OSError, KeyError, *DAMAGE):
        return None


def _write(path: Path, tokens: TokenArray) -> None:
    """Write whole or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    narrow = tokens.ids.max(initial=0) < 1 << 16
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".tokens.") as unfinished:
        whole = Path(unfinished) / "whole.npz"
        np.savez(whole, ids=tokens.ids.astype(np.uint16 if narrow else np.int32), offsets=tokens.offsets)
        whole.rename(path)
