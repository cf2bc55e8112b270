"""Cleaned texts to words, as jieba finds them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

Segmenter = Callable[[str], list[str]]


@cache
def segmenter(*, spaces: bool = False) -> Segmenter:
    """Cuts a cleaned text into its words, with the spaces between them if asked. Takes a second for its dictionary."""
    import jieba

    words = jieba.Tokenizer()
    # What `initialize` does, but for the copy of the dictionary that it leaves where all users of the machine can
    # write, and where a full disk ends in a traceback.
    words.FREQ, words.total = words.gen_pfdict(words.get_dict_file())
    words.initialized = True

    def cut(text: str) -> list[str]:
        return [word for word in words.lcut(text) if spaces or not word.isspace()]

    return cut
