"""Cleaned texts to words, as jieba finds them."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable

Segmenter = Callable[[str], list[str]]


def segmenter() -> Segmenter:
    """Cuts a cleaned text into its words, without the spaces between them. Loads jieba's dictionary: a second."""
    import jieba

    jieba.setLogLevel(logging.WARNING)
    words = jieba.Tokenizer()
    # By itself it would leave its dictionary behind, where all users of the machine can write.
    with tempfile.TemporaryDirectory(prefix="kuaixun-jieba-") as folder:
        words.tmp_dir = folder
        words.initialize()

    def cut(text: str) -> list[str]:
        return [word for word in words.lcut(text) if not word.isspace()]

    return cut
