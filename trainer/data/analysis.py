"""What there is to know of labelled files before anything is trained on them.

Structs only, with names that stay: `analyse --json` prints them, the report shows them. Lengths are of cleaned texts,
in characters. Shares lie in [0, 1]. Examples are the first few of what is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice

import msgspec
import numpy as np
from numpy.typing import NDArray

from kuaixun.export.text.vocabulary import count_characters, count_vocabulary
from kuaixun.trainer.data.alike_labels import alike_labels
from kuaixun.trainer.data.cleaning import clean
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.data.repeats import ComparedTexts, compared, rows_by_key

# Those of `distil`, so that coverage is the student's.
VOCABULARY_SIZE = 4800
MINIMUM_FREQUENCY = 2
EXAMPLES = 5
# CJK unified and compatibility ideographs, and the planes that hold nothing else.
IDEOGRAPHS = ((0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
# Hiragana and katakana, those for other languages and of half width among them.
KANA = ((0x3041, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F))
UNKNOWN_CHARACTERS = 20


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a file, where to find it and what it says."""

    file: str
    line: int
    label: str
    text: str


class Lengths(msgspec.Struct, frozen=True, kw_only=True):
    """Characters of cleaned texts; `pNN` is the length that NN % of the texts do not exceed."""

    mean: float
    deviation: float
    minimum: int
    p05: float
    p25: float
    p50: float
    p75: float
    p95: float
    p99: float
    maximum: int


class ClassAnalysis(msgspec.Struct, frozen=True, kw_only=True):
    """One class in one file; no lengths where it has no text there."""

    label: str
    texts: int
    share: float
    lengths: Lengths | None


class Repeats(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that say the same: so many groups, and so many texts beyond the first of each."""

    groups: int
    surplus_texts: int
    examples: tuple[tuple[Row, ...], ...]


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """What cleaned texts are written with: spaces as a share of all characters, the others as ones of all letters."""

    spaces: float
    ideographs: float
    kana: float


class FileAnalysis(msgspec.Struct, frozen=True, kw_only=True):
    """One file by itself. `contradictions` are groups of one cleaned text under several labels."""

    role: str
    name: str
    sha256: str
    texts: int
    lengths: Lengths
    script: Script
    classes: tuple[ClassAnalysis, ...]
    empty_after_cleaning: int
    empty_examples: tuple[Row, ...]
    exact_duplicates: Repeats
    normalised_duplicates: Repeats
    contradictions: Repeats


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """How many of a file's character occurrences a vocabulary knows, and the commonest that it does not."""

    role: str
    vocabulary: str
    vocabulary_characters: int
    characters: int
    known: int
    share: float
    commonest_unknown: tuple[str, ...]


class Overlap(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of the file `role` whose text stands in the file `also_in` too: to the letter, or normalised.

    `contradicting` are those whose cleaned text stands there, and only under other labels. Examples are pairs: the
    row, then the first that it repeats.
    """

    role: str
    also_in: str
    exact: int
    normalised: int
    contradicting: int
    examples: tuple[tuple[Row, ...], ...]
    contradicting_examples: tuple[tuple[Row, ...], ...]


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """All of it: each file, each vocabulary on each file, each pair of files.

    `alike_labels` are groups of labels that differ in what is hardly seen, such as case.
    """

    labels: tuple[str, ...]
    files: tuple[FileAnalysis, ...]
    coverage: tuple[Coverage, ...]
    overlaps: tuple[Overlap, ...]
    alike_labels: tuple[tuple[str, ...], ...] = ()


def analyse(
    parts: Mapping[str, LabelledTexts],
    *,
    embedded: Collection[str] | None = None,
    vocabulary_size: int = VOCABULARY_SIZE,
    minimum_frequency: int = MINIMUM_FREQUENCY,
) -> Analysis:
    """Analyse files by their role, as DataSplit.parts gives them; all share the labels of the first.

    Where one of them is `train`, a vocabulary as a student would have it is counted on it. `embedded` are the
    characters of a table of embeddings; one stands for the form too that cleaning folds it to, as it does in a student.
    """
    texts = {role: compared(data.texts) for role, data in parts.items()}
    counts = {role: count_characters(one.cleaned) for role, one in texts.items()}
    vocabularies: dict[str, Collection[str]] = {}
    if "train" in texts:
        counted = count_vocabulary(texts["train"].cleaned, max_size=vocabulary_size, min_frequency=minimum_frequency)
        vocabularies["train"] = counted.characters
    if embedded is not None:
        vocabularies["embeddings"] = set(clean(list(embedded))) - {""}
    roles, labels = list(parts), next(iter(parts.values())).labels
    return Analysis(
        labels=labels,
        files=tuple(_analyse_file(role, parts[role], texts[role], counts[role]) for role in roles),
        coverage=tuple(
            _coverage(role, counts[role], name, characters)
            for name, characters in vocabularies.items()
            for role in roles
        ),
        overlaps=tuple(
            _overlap((role, parts[role], texts[role]), (other, parts[other], texts[other]))
            for place, role in enumerate(roles)
            for other in roles[:place]
        ),
        alike_labels=alike_labels(labels),
    )


def _analyse_file(role: str, data: LabelledTexts, texts: ComparedTexts, counts: Counter[str]) -> FileAnalysis:
    lengths = np.fromiter(map(len, texts.cleaned), dtype=np.int64, count=len(data))  # (n,)
    empty = np.flatnonzero(lengths == 0).tolist()
    by_cleaned = rows_by_key(texts.cleaned)
    by_cleaned.pop("", None)
    return FileAnalysis(
        role=role,
        name=data.source.name,
        sha256=data.sha256,
        texts=len(data),
        lengths=_lengths(lengths),
        script=_script(counts),
        classes=tuple(
            _analyse_class(label, lengths[data.label_ids == index], len(data))
            for index, label in enumerate(data.labels)
        ),
        empty_after_cleaning=len(empty),
        empty_examples=tuple(row_of(data, row) for row in empty[:EXAMPLES]),
        exact_duplicates=_repeats(data, rows_by_key(texts.raw).values()),
        normalised_duplicates=_repeats(data, rows_by_key(texts.normalised).values()),
        contradictions=_repeats(
            data,
            (rows for rows in by_cleaned.values() if len(rows) > 1 and np.ptp(data.label_ids[rows]) > 0),
        ),
    )


def _analyse_class(label: str, lengths: NDArray[np.int64], texts: int) -> ClassAnalysis:
    return ClassAnalysis(
        label=label,
        texts=len(lengths),
        share=len(lengths) / texts,
        lengths=_lengths(lengths) if len(lengths) else None,
    )


def _lengths(lengths: NDArray[np.int64]) -> Lengths:
    p05, p25, p50, p75, p95, p99 = np.percentile(lengths, (5, 25, 50, 75, 95, 99)).tolist()
    return Lengths(
        mean=float(lengths.mean()),
        deviation=float(lengths.std()),
        minimum=int(lengths.min()),
        p05=p05,
        p25=p25,
        p50=p50,
        p75=p75,
        p95=p95,
        p99=p99,
        maximum=int(lengths.max()),
    )


def _script(counts: Counter[str]) -> Script:
    letters = {character: count for character, count in counts.items() if character.isalpha()}
    all_letters = max(sum(letters.values()), 1)

    def share(ranges: tuple[tuple[int, int], ...]) -> float:
        found = (one for one in letters if any(first <= ord(one) <= last for first, last in ranges))
        return sum(letters[one] for one in found) / all_letters

    return Script(spaces=counts[" "] / max(counts.total(), 1), ideographs=share(IDEOGRAPHS), kana=share(KANA))


def _repeats(data: LabelledTexts, groups: Iterable[Sequence[int]]) -> Repeats:
    repeated = [rows for rows in groups if len(rows) > 1]
    # Texts that differ to the eye say more than those that do not.
    telling = sorted(repeated, key=lambda rows: len({data.texts[row] for row in rows}) == 1)
    return Repeats(
        groups=len(repeated),
        surplus_texts=sum(map(len, repeated)) - len(repeated),
        examples=tuple(tuple(row_of(data, row) for row in rows[:EXAMPLES]) for rows in telling[:EXAMPLES]),
    )


def _coverage(role: str, counts: Counter[str], name: str, vocabulary: Collection[str]) -> Coverage:
    known = set(vocabulary)
    unknown = sorted((-count, character) for character, count in counts.items() if character not in known)
    characters = counts.total()
    unknown_occurrences = -sum(count for count, _ in unknown)
    return Coverage(
        role=role,
        vocabulary=name,
        vocabulary_characters=len(known),
        characters=characters,
        known=characters - unknown_occurrences,
        share=(characters - unknown_occurrences) / characters if characters else 0.0,
        commonest_unknown=tuple(character for _, character in unknown[:UNKNOWN_CHARACTERS]),
    )


def _overlap(
    here: tuple[str, LabelledTexts, ComparedTexts], there: tuple[str, LabelledTexts, ComparedTexts]
) -> Overlap:
    role, data, texts = here
    also_in, other_data, other = there
    raw, by_cleaned, by_normalised = set(other.raw), rows_by_key(other.cleaned), rows_by_key(other.normalised)
    shared = [(row, by_normalised[key][0]) for row, key in enumerate(texts.normalised) if key in by_normalised]
    contradicting = [
        (row, by_cleaned[text][0])
        for row, text in enumerate(texts.cleaned)
        if text in by_cleaned and text and data.label_ids[row] not in other_data.label_ids[by_cleaned[text]]
    ]

    def pairs(found: Iterable[tuple[int, int]]) -> tuple[tuple[Row, ...], ...]:
        return tuple((row_of(data, row), row_of(other_data, first)) for row, first in islice(found, EXAMPLES))

    return Overlap(
        role=role,
        also_in=also_in,
        exact=sum(text in raw for text in texts.raw),
        normalised=len(shared),
        contradicting=len(contradicting),
        examples=pairs(shared),
        contradicting_examples=pairs(contradicting),
    )


def row_of(data: LabelledTexts, row: int) -> Row:
    """A row as examples show it."""
    line = data.lines[row] if data.lines else row + 1
    return Row(file=data.source.name, line=line, label=data.label_of(row), text=data.texts[row])
