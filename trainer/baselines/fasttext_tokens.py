"""Cleaned texts to fastText's tokens: characters, or the words that jieba finds, with a space between."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kuaixun.trainer.advance import Advance
from kuaixun.trainer.data.cleaning import clean
from kuaixun.trainer.words.segmentation import segmenter

TOKENS = ("characters", "jieba")
LABEL_PREFIX = "__label__"
# A space is a character too, but fastText ends a token there.
SPACE = "▁"
# fastText itself adds a token at the end of a text, so that n-grams know the end; this one tells them the beginning.
START = "<s>"
CHUNK_TEXTS = 2000


def tokenised(texts: Sequence[str], tokens: str, advance: Advance) -> list[str]:
    """The tokens of each raw text, START first; empty where cleaning leaves nothing."""
    cut = _words() if tokens == "jieba" else _characters
    lines: list[str] = []
    for start in range(0, len(texts), CHUNK_TEXTS):
        cleaned = clean(texts[start : start + CHUNK_TEXTS])
        lines.extend(" ".join((START, *cut(text))) if text else "" for text in cleaned)
        advance(len(lines) / len(texts), f"tokens of {len(lines)} texts")
    return lines


def _characters(text: str) -> list[str]:
    return [SPACE if character == " " else character for character in text]


def _words() -> Callable[[str], list[str]]:
    cut = segmenter()
    # A word that looks like a label would be read as one.
    return lambda text: [word.replace(LABEL_PREFIX, "_label_") for word in cut(text)]
