"""What `analyse` finds in small files whose every figure can be counted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kuaixun.trainer.data.analysis import Analysis, Coverage, Row, analyse
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.data.repeats import compared

LABELS = ("finance", "sports", "none")


def labelled(name: str, *rows: tuple[str, int]) -> LabelledTexts:
    texts, label_ids = zip(*rows, strict=True)
    return LabelledTexts(
        texts, np.array(label_ids), LABELS, Path("data", name), "0" * 64, tuple(range(2, len(rows) + 2))
    )


TRAIN = labelled(
    "train.csv",
    ("股市大涨", 0),
    ("股市大涨", 0),
    ("“股市” 大涨！", 0),
    ("Ａ股市", 1),
    ("a股市", 0),
    ("😀😀", 1),
    ("！！", 1),
    ("??", 1),
)
DEV = labelled("dev.csv", ("股市大涨", 1), ("球a", 1), ("股市 大涨", 0), ("😀", 0))


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return analyse({"train": TRAIN, "dev": DEV}, embedded=("股", "市", "Ａ"))


def test_classes_are_counted_and_measured_in_cleaned_characters(analysis: Analysis) -> None:
    train, dev = analysis.files

    assert [(one.label, one.texts, one.share) for one in train.classes] == [
        ("finance", 4, 0.5),
        ("sports", 4, 0.5),
        ("none", 0, 0.0),
    ]
    assert (train.role, train.name, train.texts) == ("train", "train.csv", 8)
    # 4, 4, 8 ("股市" 大涨!), 3, 3, 0, 2, 2
    assert train.lengths.mean == 26 / 8
    assert train.lengths.deviation == pytest.approx(np.std([4, 4, 8, 3, 3, 0, 2, 2]))
    assert (train.lengths.minimum, train.lengths.p50, train.lengths.maximum) == (0, 3.0, 8)
    assert train.classes[2].lengths is None
    assert dev.classes[1].lengths is not None
    assert dev.classes[1].lengths.mean == 3.0


def test_what_texts_are_written_with_is_counted() -> None:
    (file,) = analyse({"train": labelled("a.csv", ("东京 is", 0), ("とても良い 1！", 0), ("㐀豈𠀀", 1))}).files

    # Letters: 东京is, とても良い, and three ideographs of three blocks.
    assert file.script.ideographs == pytest.approx(6 / 12)
    assert file.script.kana == pytest.approx(4 / 12)
    assert file.script.spaces == pytest.approx(2 / 16)


def test_a_file_of_nothing_is_written_with_nothing() -> None:
    (file,) = analyse({"train": labelled("a.csv", ("😀", 0), ("😀", 1))}).files

    assert (file.script.spaces, file.script.ideographs, file.script.kana) == (0.0, 0.0, 0.0)


def test_texts_that_cleaning_empties_are_shown_with_their_line(analysis: Analysis) -> None:
    train = analysis.files[0]

    assert train.empty_after_cleaning == 1
    assert train.empty_examples == (Row(file="train.csv", line=7, label="sports", text="😀😀"),)


def test_duplicates_are_counted_to_the_letter_and_normalised(analysis: Analysis) -> None:
    train = analysis.files[0]

    assert (train.exact_duplicates.groups, train.exact_duplicates.surplus_texts) == (1, 1)
    assert (train.normalised_duplicates.groups, train.normalised_duplicates.surplus_texts) == (2, 3)
    assert [[row.line for row in group] for group in train.normalised_duplicates.examples] == [[2, 3, 4], [5, 6]]


def test_rows_contradict_each_other_where_their_cleaned_texts_are_equal(analysis: Analysis) -> None:
    train, dev = analysis.files

    assert (train.contradictions.groups, train.contradictions.surplus_texts) == (1, 1)
    assert [(row.line, row.label) for row in train.contradictions.examples[0]] == [(5, "sports"), (6, "finance")]
    assert dev.contradictions.groups == 0


def test_overlap_is_what_stands_in_an_earlier_file_too(analysis: Analysis) -> None:
    (overlap,) = analysis.overlaps

    assert (overlap.role, overlap.also_in) == ("dev", "train")
    assert (overlap.exact, overlap.normalised, overlap.contradicting) == (1, 2, 1)
    assert [[(row.file, row.line) for row in pair] for pair in overlap.contradicting_examples] == [
        [("dev.csv", 2), ("train.csv", 2)]
    ]


def test_coverage_counts_occurrences_that_a_vocabulary_knows(analysis: Analysis) -> None:
    by_train: dict[str, Coverage] = {}
    by_embeddings: dict[str, Coverage] = {}
    for one in analysis.coverage:
        (by_train if one.vocabulary == "train" else by_embeddings)[one.role] = one

    # dev: 股市大涨 球a 股市 大涨, of which 球 is unknown and the space too: train holds it once.
    assert (by_train["dev"].characters, by_train["dev"].known) == (11, 9)
    assert by_train["dev"].commonest_unknown == (" ", "球")
    # The full-width form stands for the a that cleaning makes of it.
    assert (by_embeddings["dev"].known, by_embeddings["dev"].share) == (5, 5 / 11)


def test_one_file_by_itself_has_no_overlap_and_no_vocabulary() -> None:
    alone = analyse({"data": TRAIN})

    assert (len(alone.files), alone.coverage, alone.overlaps) == (1, (), ())


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("“Ａ股” 大涨！", "a股大涨", True),
        ("2:1", "21", True),
        ("！！", "？", False),
        ("😀", "🎉", False),
        ("涨", "跌", False),
    ],
)
def test_texts_say_the_same_where_cleaning_and_dropping_punctuation_make_them_equal(
    one: str, other: str, same: bool
) -> None:
    first, second = compared([one, other]).normalised

    assert (first == second) is same
