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

from kuaixun.export.batches import in_batches
from kuaixun.trainer.advance import Advance
from kuaixun.trainer.data.cleaning import clean
from kuaixun.trainer.data.repeats import compared
from kuaixun.trainer.number_ranges import expect_numbers
from kuaixun.trainer.words.segmentation import Segmenter
from kuaixun.trainer.words.vectors import WordVectors

CHUNK_WORDS = 128
CHUNK_TEXTS = 2000
FEWEST_WORDS = 2


@dataclass(frozen=True, slots=True)
class VariantSettings:
    """How a text is varied: the share of its words that are replaced and of those that vanish, how often a stretch of
    about half its words or more, spaces among them, is taken alone, and how many nearest words a word may give way to.
    All texts are varied once for each of the seeds.

    Raises SettingError for a number out of its range.
    """

    replaced: float = 0.3
    dropped: float = 0.1
    cut_short: float = 0.3
    neighbours: int = 8
    seeds: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        expect_numbers(self, "replaced", "dropped", "cut_short", at_least=0, at_most=1)


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """For each of `rows`' words, the indices (words, k) into `words` of those nearest to it."""

    words: tuple[str, ...]
    rows: dict[str, int]
    nearest: NDArray[np.int32]


def nearest_words(vectors: WordVectors, wanted: Sequence[str], count: int, advance: Advance) -> Neighbours:
    """The `count` nearest words, by the cosine of their vectors, of each wanted word that has a vector."""
    index = {word: row for row, word in enumerate(vectors.words)}
    known = [word for word in wanted if word in index]
    unit = vectors.vectors / np.maximum(np.linalg.norm(vectors.vectors, axis=1, keepdims=True), 1e-9)  # (words, size)
    count = min(count, len(vectors.words) - 1)
    nearest = np.empty((len(known), count), dtype=np.int32)
    for start in range(0, len(known) if count else 0, CHUNK_WORDS):
        rows = [index[word] for word in known[start : start + CHUNK_WORDS]]
        likeness = unit[rows] @ unit.T  # (chunk, words)
        likeness[np.arange(len(rows)), rows] = -np.inf  # a word is no neighbour of its own
        nearest[start : start + len(rows)] = np.argpartition(likeness, -count, axis=1)[:, -count:]
        advance(start / len(known), f"neighbours of {start} of {len(known)} words")
    return Neighbours(vectors.words, {word: row for row, word in enumerate(known if count else ())}, nearest)


def variants(
    texts: Sequence[str],
    cut: Segmenter,
    vectors: WordVectors,
    settings: VariantSettings,
    advance: Advance,
    say: Callable[[str], None],
    without: Sequence[str] = (),
) -> Iterator[str]:
    """A variant of each raw text for each seed, in order, cleaned and with its spaces. The same seeds, the same ones.

    What says the same as a training text, an earlier variant or one of the raw texts `without` is left out. `cut`
    keeps the spaces.
    """
    segmented = [cut(text) for chunk in in_batches(texts, CHUNK_TEXTS) for text in clean(chunk)]
    wanted = sorted({word for words in segmented for word in words if not word.isspace()})
    neighbours = nearest_words(vectors, wanted, settings.neighbours, advance)
    say(f"{len(neighbours.rows)} words have neighbours to give way to")
    met = {same for chunk in in_batches((*texts, *without), CHUNK_TEXTS) for same in compared(chunk).normalised}
    for seed in settings.seeds:
        chance = np.random.default_rng(seed)
        for chunk in in_batches(segmented, CHUNK_TEXTS):
            found = compared(["".join(_varied(words, neighbours, settings, chance)) for words in chunk])
            for text, same in zip(found.cleaned, found.normalised, strict=True):
                if text and same not in met:
                    met.add(same)
                    yield text


def _varied(
    words: Sequence[str], neighbours: Neighbours, settings: VariantSettings, chance: np.random.Generator
) -> list[str]:
    """A text's words once varied. Spaces stay where they were."""
    if len(words) > FEWEST_WORDS and chance.random() < settings.cut_short:
        length = int(chance.integers(max(FEWEST_WORDS, len(words) // 2), len(words)))
        start = int(chance.integers(0, len(words) - length + 1))
        words = words[start : start + length]
    found = []
    for word, choice in zip(words, chance.random(len(words)).tolist(), strict=True):
        row = neighbours.rows.get(word)
        if word.isspace() or choice >= settings.dropped + settings.replaced:
            found.append(word)
        elif choice >= settings.dropped:
            found.append(word if row is None else neighbours.words[chance.choice(neighbours.nearest[row])])
    return found
