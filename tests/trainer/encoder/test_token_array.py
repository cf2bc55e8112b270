"""Pieces hold every character once, never run over their length, and come from the cache only where nothing changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kuaixun.trainer.data.cleaning import clean
from kuaixun.trainer.data.text_lines import TextLines
from kuaixun.trainer.encoder.token_array import TokenArray, cached_tokens, tokenise
from kuaixun.trainer.encoder.tokenizer import character_tokenizer, counted_tokens

LINES = ("今天股市大涨。明天呢？谁也不知道，" + "长" * 30 + "！完", "短", "球赛决赛")
TOKENIZER = character_tokenizer(counted_tokens(clean(LINES), size=100, minimum_frequency=1), 64)


def texts_of(tokens: TokenArray) -> list[str]:
    return ["".join(TOKENIZER.convert_ids_to_tokens(piece.tolist())) for piece in pieces_of(tokens)]


def pieces_of(tokens: TokenArray) -> list[np.ndarray]:
    return [tokens.ids[start:end] for start, end in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True)]


def test_lines_are_cut_at_the_ends_of_sentences_and_only_then_anywhere() -> None:
    assert texts_of(tokenise(LINES, TOKENIZER, 12)) == [
        "今天股市大涨。明天呢?",
        "谁也不知道," + "长" * 6,
        "长" * 12,
        "长" * 12 + "",
        "球赛决赛",
    ]


def test_no_character_is_lost_and_no_piece_too_long() -> None:
    tokens = tokenise(LINES[:1], TOKENIZER, 17)

    assert "".join(texts_of(tokens)) == clean(LINES[:1])[0]
    assert tokens.lengths.max() <= 17


def test_a_piece_of_which_no_token_is_known_is_left_out() -> None:
    texts = ("甲乙丙丁", "球赛甲决", "甲乙丙丁戊己今天股市")

    assert texts_of(tokenise(texts, TOKENIZER, 6)) == ["球赛[UNK]决", "今天股市"]


def test_tokens_come_from_the_cache_until_the_text_the_tokenizer_or_the_length_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = TextLines(LINES, Path("a.txt"), "a" * 64)
    first = cached_tokens(lines, TOKENIZER, 12, tmp_path)
    made: list[int] = []

    def counted(*given: Any) -> TokenArray:
        made.append(given[2])
        return tokenise(*given)

    monkeypatch.setattr("kuaixun.trainer.encoder.token_array.tokenise", counted)

    again = cached_tokens(lines, TOKENIZER, 12, tmp_path)
    assert not made
    assert again.ids.tolist() == first.ids.tolist()
    assert again.offsets.tolist() == first.offsets.tolist()
    cached_tokens(lines, TOKENIZER, 13, tmp_path)
    # Of one table, another column: the file is the same.
    cached_tokens(TextLines(LINES[::-1], Path("a.txt"), "a" * 64), TOKENIZER, 12, tmp_path)
    cached_tokens(lines, character_tokenizer(counted_tokens(["股市"], size=9, minimum_frequency=1), 64), 12, tmp_path)
    assert made == [13, 12, 12]
    monkeypatch.setattr("kuaixun.trainer.encoder.token_array.cleaning_sha256", lambda: "another cleaning")
    cached_tokens(lines, TOKENIZER, 12, tmp_path)
    assert made == [13, 12, 12, 12]


def test_a_damaged_cache_is_made_anew(tmp_path: Path) -> None:
    lines = TextLines(LINES, Path("a.txt"), "a" * 64)
    first = cached_tokens(lines, TOKENIZER, 12, tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:100])

    assert cached_tokens(lines, TOKENIZER, 12, tmp_path).ids.tolist() == first.ids.tolist()
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_pieces_can_be_taken_in_any_order() -> None:
    tokens = tokenise(LINES, TOKENIZER, 12)

    assert texts_of(tokens.take(np.array([4, 0]))) == ["球赛决赛", "今天股市大涨。明天呢?"]
