"""What cannot be said per code point: markup, entities, addresses. A closed list, part of the bundle's format.

Each pattern has a guard, a substring without which it cannot match, so that a clean batch pays for one substring
search. A bundle carries the patterns it was trained with; a reader runs those it knows to the letter and refuses any
other, because a regular expression from outside can be made to run for ever. All are ASCII classes with bounded
repeats, so that a scan is linear and means the same in any regular-expression dialect.
"""

from __future__ import annotations

import html.entities
import re
from collections.abc import Callable
from typing import Annotated

import msgspec

OneCharacter = Annotated[str, msgspec.Meta(min_length=1, max_length=1)]


class Pattern(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Replace every match of `regex` by `replacement`, in texts that contain `guard`.

    A replacement of None stands for the character that the matched entity names, or nothing where it names none.
    """

    name: str
    guard: str
    regex: str
    replacement: str | None


PATTERNS = (
    # Feeds escape markup as often as they leave it bare, hence entities first.
    Pattern(
        name="entity",
        guard="&",
        regex=r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});",
        replacement=None,
    ),
    Pattern(
        name="block_tag",
        guard="<",
        regex=r"</?(?:[bB][rR]|[pP]|[dD][iI][vV]|[lL][iI]|[tT][rRdDhH]|[hH][1-6])(?:[ /][^<>]{0,512})?>",
        replacement=" ",
    ),
    Pattern(name="tag", guard="<", regex=r"<[A-Za-z/!][^<>]{0,512}>", replacement=""),
    Pattern(
        name="url",
        guard="://",
        regex=r"[A-Za-z][A-Za-z0-9+.\-]{1,15}://[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]{1,2048}",
        replacement=" ",
    ),
    Pattern(name="www", guard="www.", regex=r"www\.[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]{1,2048}", replacement=" "),
    Pattern(
        name="email",
        guard="@",
        regex=r"[A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9\-]{1,63}(?:\.[A-Za-z0-9\-]{1,63}){1,8}",
        replacement=" ",
    ),
)


ENTITIES = {name: chr(point) for name, point in html.entities.name2codepoint.items()} | {"apos": "'"}


class Patterns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The patterns of a pipeline, run in order, and the characters that named entities stand for."""

    patterns: tuple[Pattern, ...] = PATTERNS
    entities: dict[str, OneCharacter] = msgspec.field(default_factory=lambda: dict(ENTITIES))

    def __post_init__(self) -> None:
        for pattern in self.patterns:
            if pattern not in PATTERNS:
                raise ValueError(f"the pattern {pattern.name[:40]!r} is not one of this format's")
            # Or a list as long as its file would run as often on every text.
            if self.patterns.count(pattern) > 1:
                raise ValueError(f"the pattern {pattern.name!r} is listed twice")

    def compile(self) -> tuple[CompiledPattern, ...]:
        """Make them ready to run."""
        return tuple(
            CompiledPattern(
                pattern.guard,
                re.compile(pattern.regex),
                self._character_of if pattern.replacement is None else pattern.replacement,
            )
            for pattern in self.patterns
        )

    def _character_of(self, match: re.Match[str]) -> str:
        """The character that an entity names; nothing for an unknown name or a number outside Unicode."""
        name = match[0][1:-1]
        if not name.startswith("#"):
            return self.entities.get(name, "")
        digits, base = (name[2:], 16) if name[1] in "xX" else (name[1:], 10)
        point = int(digits, base)
        return chr(point) if point < 0x110000 else ""


class CompiledPattern:
    """A pattern ready to run."""

    __slots__ = ("_guard", "_regex", "_replacement")

    def __init__(self, guard: str, regex: re.Pattern[str], replacement: str | Callable[[re.Match[str]], str]) -> None:
        self._guard = guard
        self._regex = regex
        self._replacement = replacement

    def concerns(self, text: str) -> bool:
        """Whether the guard is there: no match is possible otherwise."""
        return self._guard in text

    def apply(self, text: str) -> str:
        """The text with every match replaced."""
        return self._regex.sub(self._replacement, text)
