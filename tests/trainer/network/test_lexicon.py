"""Characters, their places and their words as one number."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kuaixun.trainer.data.text_lines import TextLines
from kuaixun.trainer.errors import DataError
from kuaixun.trainer.network.lexicon import (
    ALONE,
    BEGINS,
    ENDS,
    INSIDE,
    NO_WORD,
    UNKNOWN,
    Lexicon,
    new_lexicon,
    unpacked,
)
from kuaixun.trainer.words.segmentation import segmenter

LEXICON = Lexicon(("股", "市", "大"), ("股市", "x" * 9), max_tokens=6)


def lines(*texts: str) -> TextLines:
    return TextLines(texts, Path("texts.txt"), "0" * 64)


def test_each_character_comes_with_its_place_and_its_word() -> None:
    characters, places, words = unpacked(torch.tensor(LEXICON.ids(["股市", "涨", "大大市"])))

    assert characters.tolist() == [2, 3, UNKNOWN, 4, 4, 3]
    assert places.tolist() == [BEGINS, ENDS, ALONE, BEGINS, INSIDE, ENDS]
    assert words.tolist() == [1, 1, NO_WORD, NO_WORD, NO_WORD, NO_WORD]


def test_no_more_characters_count_than_are_read() -> None:
    assert len(LEXICON.ids(["股市"] * 5)) == 6


def test_the_largest_numbers_come_back_whole() -> None:
    words = tuple(map(str, range(1 << 18)))
    characters = tuple(map(chr, range(0x4E00, 0x4E00 + (1 << 14) - 2)))
    lexicon = Lexicon(characters, (*words, characters[-1]), max_tokens=4)

    found = [int(part) for part in unpacked(torch.tensor(lexicon.ids([characters[-1]])))]

    assert found == [(1 << 14) - 1, ALONE, (1 << 18) + 1]


def test_texts_are_cleaned_and_those_that_vanish_have_no_row() -> None:
    encoded = LEXICON.encode(lines("<b>股市</b>", "", "市"), segmenter())

    assert encoded.rows.tolist() == [0, 2]
    assert encoded.tokens.tolist() == [2, 1]
    assert unpacked(encoded.ids)[0].tolist() == [[2, 3], [3, 0]]
    assert set(encoded.label_ids.tolist()) == {-100}
    with pytest.raises(DataError, match=r"texts\.txt: cleaning leaves nothing of any of its 2 texts"):
        LEXICON.encode(lines("", " "), segmenter())


def test_a_lexicon_knows_frequent_characters_and_those_that_have_a_vector() -> None:
    found = new_lexicon(["大大 市", "大市", "股"], ("股市",), ("熊", "大", " "), minimum_frequency=2, max_tokens=9)

    assert found.characters == ("大", "市", "熊")
    assert (found.words, found.max_tokens) == (("股市",), 9)
