"""Texts as a network over characters and words reads them: each character with its word and its place in it.

The three are one number, so that a text is a row of ids as it is for a student: from the lowest bits, 14 for the
character, 2 for the place, the rest for the word. 0 pads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kuaixun.export.batches import in_batches
from kuaixun.trainer.advance import Advance, in_silence
from kuaixun.trainer.data.cleaning import clean
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.data.text_lines import TextLines
from kuaixun.trainer.errors import DataError
from kuaixun.trainer.fitting.encoded_texts import EncodedTexts
from kuaixun.trainer.fitting.objective import UNLABELLED
from kuaixun.trainer.words.segmentation import Segmenter

PAD, UNKNOWN = 0, 1
NO_WORD = 0
BEGINS, INSIDE, ENDS, ALONE = range(4)
PLACES = 4
CHARACTER_BITS, PLACE_BITS = 14, 2
MOST_CHARACTERS = (1 << CHARACTER_BITS) - 2
CHUNK_TEXTS = 1 << 13


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The characters and words that a network knows, and how many characters of a text it reads."""

    characters: tuple[str, ...]
    words: tuple[str, ...]
    max_tokens: int
    _character_ids: dict[str, int] = field(init=False, repr=False, compare=False)
    _word_ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_character_ids", _numbered(self.characters, UNKNOWN + 1))
        object.__setattr__(self, "_word_ids", _numbered(self.words, NO_WORD + 1))

    def ids(self, words: Iterable[str]) -> list[int]:
        """The ids of a text's characters."""
        found: list[int] = []
        for word in words:
            word_bits = self._word_ids.get(word, NO_WORD) << (CHARACTER_BITS + PLACE_BITS)
            for index, character in enumerate(word):
                place_bits = _place(index, len(word)) << CHARACTER_BITS
                found.append(word_bits | place_bits | self._character_ids.get(character, UNKNOWN))
                if len(found) == self.max_tokens:
                    return found
        return found

    def encode(self, data: LabelledTexts | TextLines, cut: Segmenter, advance: Advance = in_silence) -> EncodedTexts:
        """Encode a whole file. Raises DataError where cleaning leaves nothing of any text."""
        label_ids = data.label_ids if isinstance(data, LabelledTexts) else np.full(len(data), UNLABELLED)
        chunks = []
        for numbers in in_batches(range(len(data)), CHUNK_TEXTS):
            cleaned = clean(data.texts[numbers[0] : numbers[-1] + 1])
            texts = {row: ids for row, text in zip(numbers, cleaned, strict=True) if (ids := self.ids(cut(text)))}
            if texts:
                rows = np.fromiter(texts, dtype=np.int64)
                chunks.append(_padded(list(texts.values()), rows, label_ids[rows]))
            done = numbers[-1] + 1
            advance(done / len(data), f"words of {done} of {len(data)} texts of {data.source.name}")
        if not chunks:
            raise DataError(f"{data.source}: cleaning leaves nothing of any of its {len(data)} texts")
        return reduce(EncodedTexts.followed_by, chunks)


def new_lexicon(
    texts: Sequence[str],
    words: tuple[str, ...],
    known: Iterable[str] = (),
    *,
    minimum_frequency: int,
    max_tokens: int,
) -> Lexicon:
    """A lexicon of these words, of the raw texts' characters that are frequent enough, and of those `known` anyway.

    The commonest come first.
    """
    counts: Counter[str] = Counter()
    for chunk in in_batches(texts, CHUNK_TEXTS):
        counts.update(chain.from_iterable(clean(chunk)))
    frequent = [character for character, count in counts.most_common() if count >= minimum_frequency]
    characters = [one for one in dict.fromkeys((*frequent, *known)) if not one.isspace()]
    return Lexicon(tuple(characters[:MOST_CHARACTERS]), words, max_tokens)


def unpacked(ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Characters, places and words, each of the shape of `ids`."""
    characters = ids & ((1 << CHARACTER_BITS) - 1)
    places = (ids >> CHARACTER_BITS) & (PLACES - 1)
    return characters, places, ids >> (CHARACTER_BITS + PLACE_BITS)


def _place(index: int, length: int) -> int:
    if length == 1:
        return ALONE
    return BEGINS if index == 0 else ENDS if index == length - 1 else INSIDE


def _padded(texts: Sequence[Sequence[int]], rows: NDArray[np.int64], label_ids: NDArray[np.int64]) -> EncodedTexts:
    tokens = np.array([len(ids) for ids in texts])
    ids = np.full((len(texts), int(tokens.max())), PAD, dtype=np.int64)
    ids[np.arange(ids.shape[1]) < tokens[:, None]] = np.concatenate([np.array(one) for one in texts])
    return EncodedTexts(*map(torch.from_numpy, (ids, tokens, label_ids, rows)))


def _numbered(names: Sequence[str], first: int) -> dict[str, int]:
    return {name: number for number, name in enumerate(names, start=first)}
