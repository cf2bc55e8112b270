"""Texts that say the same: what makes two rows one. Analysing looks for them, splitting keeps them together.

Two texts are *exact* duplicates where all characters agree, and *normalised* ones where they agree after the text
pipeline's cleaning once spaces and punctuation are dropped too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from kuaixun.trainer.data.cleaning import clean

Key = TypeVar("Key", bound=Hashable)

# \w is letters and digits of any script; the underscore counts as punctuation here.
_PUNCTUATION = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class ComparedTexts:
    """What a file's texts are compared by, in order.

    `cleaned` is the pipeline's text, empty where nothing is left. `normalised` is never empty: of a text that is
    nothing but punctuation it is the cleaned text, and of one that cleaning empties the raw one.
    """

    raw: tuple[str, ...]
    cleaned: tuple[str, ...]
    normalised: tuple[str, ...]


def compared(texts: Sequence[str]) -> ComparedTexts:
    """Clean texts and reduce them to what they say.

    >>> compared(["“Ａ股” 大涨！", "a股大涨"]).normalised
    ('a股大涨', 'a股大涨')
    """
    cleaned = clean(texts)
    normalised = (_PUNCTUATION.sub("", short) or short or raw for short, raw in zip(cleaned, texts, strict=True))
    return ComparedTexts(tuple(texts), tuple(cleaned), tuple(normalised))


def rows_by_key(keys: Iterable[Key]) -> dict[Key, list[int]]:
    """The rows of each key, in order; keys in the order in which they are met."""
    rows: defaultdict[Key, list[int]] = defaultdict(list)
    for row, key in enumerate(keys):
        rows[key].append(row)
    return dict(rows)
