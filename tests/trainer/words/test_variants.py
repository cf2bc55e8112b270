"""Texts like the training texts: what a variant may be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kuaixun.trainer.cli import main
from kuaixun.trainer.words.segmentation import segmenter
from kuaixun.trainer.words.variants import VariantSettings, nearest_words, variants
from kuaixun.trainer.words.vectors import WordVectors

# Banks on one side, clubs on the other.
VECTORS = WordVectors(
    ("银行", "央行", "球队", "球星"), np.array([[1, 0.1], [1, 0.2], [0.1, 1], [0.2, 1]], dtype=np.float32)
)
ALWAYS = VariantSettings(replaced=1.0, dropped=0.0, cut_short=0.0, neighbours=1)


def made(settings: VariantSettings, *texts: str) -> list[str]:
    return list(variants(texts, segmenter(spaces=True), VECTORS, settings, nothing, nothing))


def nothing(*_: object) -> None:
    """Whoever does not follow."""


def test_the_nearest_words_are_those_of_the_same_kind_and_never_the_word_itself() -> None:
    found = nearest_words(VECTORS, ["球星", "银行", "无名"], 1, nothing)

    assert {word: found.words[found.nearest[row][0]] for word, row in found.rows.items()} == {
        "球星": "球队",
        "银行": "央行",
    }


def test_words_give_way_to_their_neighbours_and_texts_without_any_are_left_out() -> None:
    assert made(ALWAYS, "银行球星", "天空", "") == ["央行球队"]


def test_spaces_stay_where_they_were() -> None:
    assert made(ALWAYS, "银行 apple pie 球星") == ["央行 apple pie 球队"]
    found = made(VariantSettings(replaced=0.0, dropped=0.5, cut_short=0.0), *["alpha beta 银行 gamma"] * 30)
    assert "alpha beta" in found
    assert not any("  " in one or one != one.strip() for one in found)


def test_what_says_the_same_is_left_out() -> None:
    assert made(ALWAYS, "银行球星", "银行，球星", "央行球队") == []
    assert made(ALWAYS, "银行球星", "银行，球星") == ["央行球队"]


def test_texts_to_measure_on_become_no_variants() -> None:
    found = variants(["银行球星"], segmenter(spaces=True), VECTORS, ALWAYS, nothing, nothing, without=["央行，球队！"])

    assert list(found) == []


def test_words_of_a_single_vector_have_no_neighbour() -> None:
    alone = WordVectors(("银行",), np.ones((1, 2), dtype=np.float32))
    assert not nearest_words(alone, ["银行"], 3, nothing).rows


def test_words_vanish_and_stretches_of_at_least_half_are_taken_alone() -> None:
    text = "银行球星银行球队银行央行"
    none_left = VariantSettings(replaced=0.0, dropped=1.0, cut_short=0.0)
    stretch = VariantSettings(replaced=0.0, dropped=0.0, cut_short=1.0)

    assert made(none_left, text) == []
    found = made(stretch, *[text] * 50)
    assert {len(one) // 2 for one in found} == {3, 4, 5}
    assert len(found) == len(set(found))
    assert all(one in text for one in found)


def test_the_seed_says_which() -> None:
    texts = ["银行球星银行球星银行球星"] * 20
    one, same, other = (made(VariantSettings(replaced=0.5, seeds=(seed,)), *texts) for seed in (1, 1, 2))

    assert one == same
    assert one != other
    both = made(VariantSettings(replaced=0.5, seeds=(1, 2)), *texts)
    assert both == list(dict.fromkeys([*one, *other]))


def test_the_command_writes_texts_that_are_none_of_the_training_texts(
    toy_file: Callable[[str, int, int], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, words, out = toy_file("train.txt", 120, 1), tmp_path / "words", tmp_path / "variants.txt"
    small = ("--size", "4", "--epochs", "1", "--minimum-frequency", "1")
    assert main(["words", "--texts", str(train), "--output", str(words), *small]) == 0

    assert main(["vary", "--train", str(train), "--words", str(words), "--output", str(out)]) == 0

    lines = out.read_text(encoding="utf-8").splitlines()
    assert f"{len(lines)} variants of 120 texts" in capsys.readouterr().err
    assert 60 < len(lines) <= 120
    assert not set(lines) & {line.partition("\t")[0] for line in train.read_text(encoding="utf-8").splitlines()}
    assert main(["vary", "--train", str(train), "--words", str(words), "--output", str(out)]) == 2
    more = ["--output", str(tmp_path / "x"), "--replaced", "2"]
    assert main(["vary", "--train", str(train), "--words", str(words), *more]) == 2
    assert "--replaced is 2.0; it must be at least 0" in capsys.readouterr().err
