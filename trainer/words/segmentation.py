"""Cleaned texts to words: what jieba finds, and what stands by itself in the other scripts that write spaces.

jieba knows ideographs and words of ASCII; any other letter is a word to it, so that "Straße" is "stra", "ß" and "e".
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache

Segmenter = Callable[[str], list[str]]

# Thai, Lao, Tibetan, Myanmar; Khmer; other scripts of South-East Asia; radicals and ideographs, kana, bopomofo; Yi;
# South-East Asia again; compatibility ideographs; kana of half width; the planes that hold nothing but ideographs.
WITHOUT_SPACES = (
    "\u0e00-\u109f\u1780-\u17ff\u1950-\u1aaf\u1b00-\u1b7f\u2e80-\u312f\u31a0-\u9fff\ua000-\ua4cf\ua980-\ua9ff"
    "\uaa60-\uaadf\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)


@cache
def segmenter(*, spaces: bool = False) -> Segmenter:
    """Cuts a cleaned text into its words, with the spaces between them if asked. Takes a second for its dictionary."""
    import jieba

    words = jieba.Tokenizer()
    # What `initialize` does, but for the copy of the dictionary that it leaves where all users of the machine can
    # write, and where a full disk ends in a traceback.
    words.FREQ, words.total = words.gen_pfdict(words.get_dict_file())
    words.initialized = True
    runs = _runs_of_letters()

    def pieces(text: str) -> Iterator[str]:
        done = 0
        for run in runs.finditer(text):
            if any(character.isalpha() and not character.isascii() for character in run[0]):
                yield from words.lcut(text[done : run.start()])
                yield run[0]
                done = run.end()
        yield from words.lcut(text[done:])

    def cut(text: str) -> list[str]:
        return [word for word in pieces(text) if spaces or not word.isspace()]

    return cut


@cache
def _runs_of_letters() -> re.Pattern[str]:
    """Letters, digits and marks side by side; vowels of Indic scripts are marks, and no characters of words to `re`."""
    marks = "".join(one for one in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(one)[0] == "M")
    return re.compile(f"(?:(?![{WITHOUT_SPACES}])[\\w{marks}])+")
