"""Raw texts to token ids, a batch at a time, with numpy instead of a loop over characters.

The only text code there is: the trainer, every Python engine and (from the same data files) C++ encode alike.

    cut to max_raw_chars → patterns → fold each code point → runs of spaces to one, none at the ends
    → cleaned text → vocabulary → a mark at both ends, at one or at none → cut to max_tokens, pad
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kuaixun.export.text.folding import CODE_POINTS, DROP, SPACE, CodePointTable
from kuaixun.export.text.patterns import Patterns
from kuaixun.export.text.vocabulary import CLS, PAD, SPECIALS, UNK, Vocabulary
from kuaixun.schemas.manifest import TextParameters


@dataclass(frozen=True, slots=True)
class Encoded:
    """A batch of token ids: `ids` (n, longest) int32 padded on the right with PAD; `lengths` (n,) int64, the
    characters each text had after cleaning, of which at most `max_tokens` became ids: 0 marks a text with nothing to
    classify.
    """

    ids: NDArray[np.int32]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.lengths)


@dataclass(frozen=True, slots=True)
class _Folded:
    """A batch after cleaning: `points` of all texts end to end, and how many of them each text has."""

    points: NDArray[np.uint32]  # (characters,)
    lengths: NDArray[np.int64]  # (texts,)


class TextPipeline:
    """Cleaning and tokenising by the tables given. Holds no state between calls; accepts any str, surrogates too."""

    def __init__(
        self, parameters: TextParameters, table: CodePointTable, patterns: Patterns, vocabulary: Vocabulary
    ) -> None:
        self.parameters = parameters
        self.table = table
        self.patterns = patterns
        self.vocabulary = vocabulary
        self._compiled = patterns.compile()
        self._token_ids = np.full(CODE_POINTS, UNK, dtype=np.int32)
        characters = "".join(vocabulary.characters)
        points = np.frombuffer(characters.encode("utf-32-le", "surrogatepass"), dtype="<u4")
        self._token_ids[points] = np.arange(len(SPECIALS), len(vocabulary), dtype=np.int32)

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Token ids of raw texts, in order. The batch's width is that of its longest text, at least 1."""
        folded = self._fold(texts)
        return self._to_ids(folded)

    def clean(self, texts: Sequence[str]) -> list[str]:
        """The cleaned text of each raw text: what its token ids stand for, before the vocabulary and the cut."""
        folded = self._fold(texts)
        joined = folded.points.tobytes().decode("utf-32-le")
        ends = np.cumsum(folded.lengths)
        return [joined[start:end] for start, end in zip((ends - folded.lengths).tolist(), ends.tolist(), strict=True)]

    def _fold(self, texts: Sequence[str]) -> _Folded:
        """Patterns, folding and spaces: everything that comes before the vocabulary."""
        texts = self._without_markup([text[: self.parameters.max_raw_chars] for text in texts])
        lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))  # (texts,)
        raw = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4")  # (characters,)
        rows = np.repeat(np.arange(len(texts)), lengths)  # (characters,)
        points = self.table.targets[raw]  # (characters,)
        kept = points != DROP
        points, rows = points[kept], rows[kept]
        if len(points) and (points == SPACE).any():
            stays = _single_spaces(points, rows)
            points, rows = points[stays], rows[stays]
        return _Folded(points, np.bincount(rows, minlength=len(texts)).astype(np.int64))

    def _without_markup(self, texts: list[str]) -> list[str]:
        """Run each pattern over the texts that it concerns; a batch that none concerns is only searched once each."""
        for pattern in self._compiled:
            # Guards hold no newline and each text is searched again, so a match across the seam costs time alone.
            if pattern.concerns("\n".join(texts)):
                texts = [pattern.apply(text) if pattern.concerns(text) else text for text in texts]
        return texts

    def _to_ids(self, folded: _Folded) -> Encoded:
        """Look the characters up and lay them out in rows."""
        offset = 1 if self.parameters.prepend_cls else 0
        tokens = np.minimum(folded.lengths + self.parameters.marks, self.parameters.max_tokens)  # (texts,)
        ids = np.full((len(folded.lengths), max(int(tokens.max(initial=1)), 1)), PAD, dtype=np.int32)
        ids[:, :offset] = CLS
        if self.parameters.append_cls:
            ends = folded.lengths + offset  # (texts,)
            room = np.flatnonzero(ends < self.parameters.max_tokens)
            ids[room, ends[room]] = CLS
        rows = np.repeat(np.arange(len(folded.lengths)), folded.lengths)  # (characters,)
        starts = np.cumsum(folded.lengths) - folded.lengths  # (texts,)
        places = np.arange(len(folded.points)) - starts[rows] + offset  # (characters,)
        fits = places < self.parameters.max_tokens
        ids[rows[fits], places[fits]] = self._token_ids[folded.points[fits]]
        return Encoded(ids, folded.lengths)


def _single_spaces(points: NDArray[np.uint32], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices (kept,) of what stays when runs of spaces shrink to one and no text begins or ends with one."""
    space = points == SPACE
    follows_character = np.zeros(len(points), dtype=np.bool_)
    follows_character[1:] = (rows[1:] == rows[:-1]) & ~space[:-1]
    kept = np.flatnonzero(~space | follows_character)
    ends_text = np.append(rows[kept][1:] != rows[kept][:-1], True)
    stays: NDArray[np.int64] = kept[~(space[kept] & ends_text)]
    return stays
