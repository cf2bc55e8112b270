"""The commands that a page shows and nobody runs, for they take a GPU, an hour or a file of the reader's own.

They stand set in by four spaces, in fences that `tests.readme.blocks` leaves out, and in sentences.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"^ *```(?P<info>[^`\n]*)\n(?P<body>.*?)^ *```[ \t]*$", re.MULTILINE | re.DOTALL)
_LINE = re.compile(r"^.+(?:(?<=\\)\n.*)*", re.MULTILINE)  # it goes on while it ends in a backslash
_SET_IN = re.compile(r"^    \S.*(?:(?<=\\)\n.*)*", re.MULTILINE)
_IN_A_SENTENCE = re.compile(r"`([^`]+)`")
_BETWEEN_COMMANDS = {"&&", "||", "|", ";", "(", ")", "{", "}", "!"}
_REDIRECTIONS = {"<", ">", ">>", ">&"}


@dataclass(frozen=True, slots=True)
class Shown:
    """One command. `whole` is false in a sentence, which may leave out what the command requires."""

    line: int
    words: tuple[str, ...]
    whole: bool


def shown_on(page: str) -> Iterator[Shown]:
    """Every command of a page that `blocks_of` does not run. Raises ValueError where a quotation has no end."""
    for fence in _FENCE.finditer(page):
        if fence["info"].split()[:1] in ([], ["text"]):
            yield from _all_of(fence["body"], page.count("\n", 0, fence.start("body")) + 1, whole=True)
    # What is cut out leaves its line ends, so that lines keep their numbers.
    page = _FENCE.sub(lambda found: "\n" * found[0].count("\n"), page)
    for found in _SET_IN.finditer(page):
        yield from _all_of(found[0], page.count("\n", 0, found.start()) + 1, whole=True)
    page = _SET_IN.sub(lambda found: "\n" * found[0].count("\n"), page)
    for found in _IN_A_SENTENCE.finditer(page):
        if re.match(r"(?:make|python|kuaixun-\w+) ", found[1]):
            yield from _all_of(found[1].replace("\n", " "), page.count("\n", 0, found.start()) + 1, whole=False)


def _all_of(text: str, line: int, *, whole: bool) -> Iterator[Shown]:
    for found in _LINE.finditer(text):
        for words in commands_of(found[0].replace("\\\n", " ")):
            yield Shown(line + text.count("\n", 0, found.start()), words, whole)


def commands_of(line: str) -> Iterator[tuple[str, ...]]:
    """The commands of one line of a shell, without redirections and the variables that are set for them.

    >>> list(commands_of("A=1 sort -u <in.txt >out.txt && uniq  # twice"))
    [('sort', '-u'), ('uniq',)]
    """
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    tokens = iter(lexer)
    for token in tokens:
        if token in _REDIRECTIONS:
            next(tokens, None)
        elif token in _BETWEEN_COMMANDS:
            if words:
                yield tuple(words)
            words = []
        elif words or not re.match(r"\w+=", token):
            words.append(token)
    if words:
        yield tuple(words)
