"""Cleaned texts to fastText's tokens: characters, or the words that jieba finds, with a space between."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from kuaixun.trainer.baselines.advance import Advance
from kuaixun.trainer.data.cleaning import clean

TOKENS = ("characters", "jieba")
LABEL_PREFIX = "__label__"
# A space is a character too, but fastText ends a token there.
SPACE = "▁"
# fastText itself adds a token at the end of a text, so that n-grams know the end; this one tells them the beginning.
START = "<s>"
CHUNK_TEXTS = 2000


def tokenised(texts: Sequence[str], tokens: str, folder: Path, advance: Advance) -> list[str]:
    """The tokens of each raw text, START first; empty where cleaning leaves nothing.

    jieba keeps its dictionary in `folder`.
    """
    cut = _words(folder) if tokens == "jieba" else _characters
    lines: list[str] = []
    for start in range(0, len(texts), CHUNK_TEXTS):
        cleaned = clean(texts[start : start + CHUNK_TEXTS])
        lines.extend(" ".join((START, *cut(text))) if text else "" for text in cleaned)
        advance(len(lines) / len(texts), f"tokens of {len(lines)} texts")
    return lines


def _characters(text: str) -> list[str]:
    return [SPACE if character == " " else character for character in text]


def _words(folder: Path) -> Callable[[str], list[str]]:
    import jieba

    jieba.setLogLevel(logging.WARNING)
    words = jieba.Tokenizer()
    # By itself it would leave its dictionary behind, where all users of the machine can write.
    words.tmp_dir = str(folder)

    def cut(text: str) -> list[str]:
        # A word that looks like a label would be read as one.
        return [word.replace(LABEL_PREFIX, "_label_") for word in words.lcut(text) if not word.isspace()]

    return cut
