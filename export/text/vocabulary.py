"""The vocabulary: which characters have a token id of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

PAD, UNK, CLS = 0, 1, 2
SPECIALS = ("[PAD]", "[UNK]", "[CLS]")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Token ids of single characters: the specials first, then `characters` from id 3 on, in order."""

    characters: tuple[str, ...]

    def __post_init__(self) -> None:
        if any(len(character) != 1 for character in self.characters):
            raise ValueError("a vocabulary holds single characters")
        if len(set(self.characters)) != len(self.characters):
            raise ValueError("a vocabulary holds each character once")
        if any(character == "\n" or "\ud800" <= character <= "\udfff" for character in self.characters):
            raise ValueError("a vocabulary holds no newline and no surrogate: no cleaned text does")

    def __len__(self) -> int:
        return len(SPECIALS) + len(self.characters)

    def to_text(self) -> str:
        """One entry a line, the line number being the id: `[PAD]`, `[UNK]`, `[CLS]`, then U+XXXX and the character."""
        lines = [*SPECIALS, *(f"U+{ord(character):04X}\t{character}" for character in self.characters)]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_text(cls, text: str) -> Vocabulary:
        """Read what `to_text` wrote. Raises ValueError with the line at fault."""
        # Split at newlines alone: characters such as U+2028 may stand in the vocabulary.
        lines = text.removesuffix("\n").split("\n")
        if tuple(lines[: len(SPECIALS)]) != SPECIALS:
            raise ValueError(f"line 1: a vocabulary begins with {', '.join(SPECIALS)}")
        characters = []
        for number, line in enumerate(lines[len(SPECIALS) :], start=len(SPECIALS) + 1):
            code_point, _, character = line.partition("\t")
            if len(character) != 1 or code_point != f"U+{ord(character):04X}":
                raise ValueError(f"line {number}: expected `U+XXXX<TAB>character`, found {line[:40]!r}")
            characters.append(character)
        return cls(tuple(characters))


def count_vocabulary(cleaned_texts: Iterable[str], *, max_size: int, min_frequency: int = 1) -> Vocabulary:
    """The commonest characters of cleaned texts, commonest first, ties by code point.

    `max_size` counts the specials. Characters rarer than `min_frequency` become UNK.
    """
    if max_size <= len(SPECIALS):
        raise ValueError(f"max_size {max_size} leaves no room beside the {len(SPECIALS)} specials")
    counts = count_characters(cleaned_texts)
    ranked = sorted((-count, character) for character, count in counts.items() if count >= min_frequency)
    return Vocabulary(tuple(character for _, character in ranked[: max_size - len(SPECIALS)]))


def count_characters(texts: Iterable[str]) -> Counter[str]:
    """How often each character stands in all of them."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    return counts
