"""The folding of code points: what each of the 1,114,112 becomes before it is looked up in the vocabulary.

Width, case and compatibility forms are unified (NFKC and lower case, where the result is one code point); all white
space becomes U+0020; control, format, private-use and unassigned code points, combining marks, surrogates, pictographs
and U+FFFD are dropped. Built once from Python's Unicode database when a model is trained, then carried as data: the
table in the bundle is the definition, whatever Unicode version the reader has.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CODE_POINTS = 0x110000
DROP = 0xFFFFFFFF
SPACE = 0x20
REPLACEMENT_CHARACTER = 0xFFFD
FIRST_PICTOGRAPH = 0x1F000

_DROPPED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Mn", "Me"})
_SPACES = frozenset({"Zs", "Zl", "Zp"})
_NUMBER = re.compile("[0-9A-F]{4,6}")
_SURROGATES = slice(0xD800, 0xE000)
_HEADER = "# first\tlast\ttarget of the first, the others following it in step; - drops; what is not listed stays"


@dataclass(frozen=True, slots=True, eq=False)
class CodePointTable:
    """`targets` (0x110000,) uint32: the code point that each becomes, or DROP.

    Targets fold to themselves; surrogates are dropped, hence are nothing's target.
    """

    targets: NDArray[np.uint32]

    def to_text(self) -> str:
        """The table as runs of tab-separated hexadecimal numbers, one a line."""
        points = np.arange(CODE_POINTS, dtype=np.int64)
        targets = self.targets.astype(np.int64)
        dropped = targets == DROP
        # Within a run, either all are dropped or all move by the same distance.
        distance = np.where(dropped, np.int64(1) << 40, targets - points)
        starts = np.flatnonzero(np.diff(distance, prepend=distance[0] - 1))
        ends = np.append(starts[1:], CODE_POINTS) - 1
        lines = [_HEADER]
        for first, last in zip(starts.tolist(), ends.tolist(), strict=True):
            if dropped[first]:
                lines.append(f"{first:04X}\t{last:04X}\t-")
            elif distance[first]:
                lines.append(f"{first:04X}\t{last:04X}\t{int(targets[first]):04X}")
        return "\n".join(lines) + "\n"

    @classmethod
    def from_text(cls, text: str) -> CodePointTable:
        """Read what `to_text` wrote. Raises ValueError with the line at fault."""
        targets = np.arange(CODE_POINTS, dtype=np.uint32)
        beyond = 0
        for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
            if line.startswith("#"):
                continue
            *run, target_text = line.split("\t")
            numbers = run if target_text == "-" else [*run, target_text]
            if len(run) != 2 or not all(map(_NUMBER.fullmatch, numbers)):
                raise ValueError(f"line {number}: expected three tab-separated fields of 4 to 6 digits 0-9 and A-F")
            first, last = (int(field, 16) for field in run)
            target = DROP if target_text == "-" else int(target_text, 16)
            if not beyond <= first <= last < CODE_POINTS:
                raise ValueError(f"line {number}: the run {first:X}-{last:X} is out of order or range")
            beyond = last + 1
            if target == DROP:
                targets[first:beyond] = DROP
            elif target + last - first < CODE_POINTS:
                targets[first:beyond] = np.arange(target, target + beyond - first)
            else:
                raise ValueError(f"line {number}: the target {target:X} lies outside Unicode")
        kept = targets[targets != DROP]
        if not np.array_equal(targets[kept], kept):
            raise ValueError("a target of the table does not fold to itself")
        if (targets[_SURROGATES] != DROP).any():
            raise ValueError("the table keeps surrogates, D800 to DFFF; no cleaned text may hold one")
        return cls(targets)


def unicode_table(*, drop_latin: bool = False) -> CodePointTable:
    """The standard table, from this Python's Unicode database. `drop_latin` drops the letters a-z as well."""
    targets = np.fromiter((_fold(point) for point in range(CODE_POINTS)), dtype=np.uint32, count=CODE_POINTS)
    if drop_latin:
        targets[(targets >= ord("a")) & (targets <= ord("z"))] = DROP
    return CodePointTable(targets)


def _fold(point: int) -> int:
    """Follow one code point to where it stays: forms can be nested, as the full-width capital is."""
    character = chr(point)
    while True:
        category = unicodedata.category(character)
        if character.isspace() or category in _SPACES:
            return SPACE
        if category in _DROPPED_CATEGORIES or ord(character) == REPLACEMENT_CHARACTER:
            return DROP
        if category.startswith("S") and ord(character) >= FIRST_PICTOGRAPH:
            return DROP
        folded = _single(_single(character, unicodedata.normalize("NFKC", character)), None)
        if folded == character:
            return ord(character)
        character = folded


def _single(character: str, form: str | None) -> str:
    """`form`, or the lower case where None, if it is one code point; else the character as it is."""
    form = character.lower() if form is None else form
    return form if len(form) == 1 else character
