"""Texts that are like the training texts and are none of them: a transfer set for which nobody had to look.

Each variant is a training text in which some words gave way to words that keep like company, some vanished, or of
which a stretch was taken alone. What it is about is not known but asked of a teacher. A student of n-grams learns from
it about words that it would never meet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kuaixun.export.text.pipeline import in_batches
from kuaixun.trainer.data.cleaning import clean
from kuaixun.trainer.words.segmentation import Segmenter
from kuaixun.trainer.words.vectors import WordVectors

CHUNK_WORDS = 1024
CHUNK_TEXTS = 2000
FEWEST_WORDS = 2


@dataclass(frozen=True, slots=True)
class VariantSettings:
    """How a text is varied: the share of its words that are replaced and of those that vanish, how often a stretch of
    at least half its words is taken alone, and how many nearest words a word may give way to.
    """

    replaced: float = 0.3
    dropped: float = 0.1
    cut_short: float = 0.3
    neighbours: int = 8
    seed: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """For each of `rows`' words, the indices (words, k) into `words` of those nearest to it."""

    words: tuple[str, ...]
    rows: dict[str, int]
    nearest: NDArray[np.int32]


def nearest_words(vectors: WordVectors, wanted: Sequence[str], count: int) -> Neighbours:
    """The `count` nearest words, by the cosine of their vectors, of each wanted word that has a vector."""
    index = {word: row for row, word in enumerate(vectors.words)}
    known = [word for word in wanted if word in index]
    unit = vectors.vectors / np.maximum(np.linalg.norm(vectors.vectors, axis=1, keepdims=True), 1e-9)  # (words, size)
    count = min(count, len(vectors.words) - 1)
    nearest = np.empty((len(known), count), dtype=np.int32)
    for start in range(0, len(known), CHUNK_WORDS):
        rows = [index[word] for word in known[start : start + CHUNK_WORDS]]
        likeness = unit[rows] @ unit.T  # (chunk, words)
        likeness[np.arange(len(rows)), rows] = -np.inf  # a word is no neighbour of its own
        nearest[start : start + len(rows)] = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
    return Neighbours(vectors.words, {word: row for row, word in enumerate(known)}, nearest)


def variants(
    texts: Sequence[str], cut: Segmenter, vectors: WordVectors, settings: VariantSettings, say: Callable[[str], None]
) -> Iterator[str]:
    """A variant of each raw text, in order, cleaned; a text that has none is left out. The same seed, the same ones."""
    segmented = [cut(text) for chunk in in_batches(texts, CHUNK_TEXTS) for text in clean(chunk)]
    neighbours = nearest_words(vectors, sorted({word for words in segmented for word in words}), settings.neighbours)
    say(f"{len(neighbours.rows)} words have neighbours to give way to")
    chance = np.random.default_rng(settings.seed)
    for words in segmented:
        varied = "".join(_varied(words, neighbours, settings, chance))
        if varied and varied != "".join(words):
            yield varied


def _varied(
    words: Sequence[str], neighbours: Neighbours, settings: VariantSettings, chance: np.random.Generator
) -> list[str]:
    if len(words) > FEWEST_WORDS and chance.random() < settings.cut_short:
        length = int(chance.integers(max(FEWEST_WORDS, len(words) // 2), len(words)))
        start = int(chance.integers(0, len(words) - length + 1))
        words = words[start : start + length]
    found = []
    for word, choice in zip(words, chance.random(len(words)).tolist(), strict=True):
        if choice < settings.dropped:
            continue
        row = neighbours.rows.get(word)
        if row is not None and choice < settings.dropped + settings.replaced:
            word = neighbours.words[chance.choice(neighbours.nearest[row])]
        found.append(word)
    return found
