"""Settings that follow from the data: lengths, words or characters, few texts or many."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kuaixun.trainer.data.analysis import Analysis, analyse
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.pipeline.suited_settings import Suited, baseline_settings, space_share, student_settings

SPACED = 0.18


def analysis_of(*texts: str, copies: int = 100) -> Analysis:
    rows = texts * copies
    return analyse({"train": LabelledTexts(rows, np.arange(len(rows)) % 2, ("a", "b"), Path("train.txt"), "0" * 64)})


def values(suited: tuple[Suited, ...]) -> dict[str, str]:
    return {one.option: one.value for one in suited}


def test_texts_count_whole_up_to_a_length_that_can_be_served() -> None:
    for length, tokens in ((5, "16"), (60, "64"), (5000, "256")):
        chosen = student_settings(analysis_of("字" * length), 0.0, {})
        assert values(chosen)["max-tokens"] == tokens
        assert ("99 % of the texts are no longer" in chosen[0].note) == (length < 1000)


def test_texts_that_are_cut_are_told_of_and_words_are_read_further() -> None:
    spaced = ("rates rise again " * 200, "a late goal")

    (suited,) = [one for one in student_settings(analysis_of(*spaced), SPACED, {}) if one.option == "max-tokens"]
    assert suited.value == "1024"
    assert "what stands beyond is not read; 50 % of the texts have more than" in suited.note
    assert values(student_settings(analysis_of("rates rise again " * 40), SPACED, {}))["max-tokens"] == "680"


def test_texts_may_all_be_as_long_as_what_is_read() -> None:
    for text, spaces, tokens in (("字" * 256, 0.0, 256), ("ab cd ef" * 128, SPACED, 1024)):
        (suited,) = [one for one in student_settings(analysis_of(text), spaces, {}) if one.option == "max-tokens"]
        assert suited.note.startswith(f"max-tokens {tokens}: what stands beyond is not read")


def test_words_are_for_texts_with_letters_and_spaces() -> None:
    english, chinese = analysis_of("rates rise again", "a late goal"), analysis_of("央行加息", "绝杀进球")

    assert {"keyword-filters", "prepend-cls"} <= set(values(student_settings(english, SPACED, {})))
    assert values(baseline_settings(english, SPACED, {}))["tokens"] == "jieba"
    for analysis, spaces in ((chinese, 0.0), (english, 0.0)):
        assert "keyword-filters" not in values(student_settings(analysis, spaces, {}))
        assert "tokens" not in values(baseline_settings(analysis, spaces, {}))


def test_few_texts_are_met_more_often_than_many() -> None:
    few, more = (values(student_settings(analysis_of("央行加息", copies=n), 0.0, {})) for n in (200, 30_000))

    assert int(few["epochs"]) > int(more["epochs"])
    assert few["widths"] == "1,2"
    assert "widths" not in more
    assert (few["batch-size"], more["batch-size"]) == ("32", "128")
    assert "batch-size" not in values(student_settings(analysis_of("央行加息", copies=100_000), 0.0, {}))


def test_what_the_user_chose_stands(tmp_path: Path) -> None:
    english = analysis_of("rates rise again", "a late goal")

    assert student_settings(english, SPACED, {"configuration": "published-256"}) == ()
    assert "widths" not in values(student_settings(english, SPACED, {"widths": [2, 3]}))
    assert "prepend-cls" not in values(student_settings(english, SPACED, {"prepend_cls": False}))
    assert "embedding-size" not in values(student_settings(english, SPACED, {"embeddings": "x.npz"}))


def test_a_course_is_chosen_where_there_is_one() -> None:
    english = analysis_of("rates rise again", "a late goal")

    assert not {"epochs", "learning-rate", "dropout"} & set(values(student_settings(english, SPACED, {})))
    assert "ngram-bits" not in values(student_settings(english, SPACED, {"ngram-bits": 12}))
    assert "epochs" in values(student_settings(english, SPACED, {"widths": [2, 3]}))


def test_the_share_of_spaces_is_counted_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a b c\t0\n", encoding="utf-8")

    assert space_share(tmp_path / "a.txt") == 0.25


def test_a_baseline_that_does_not_search_or_is_not_fasttext_is_told_of_no_search() -> None:
    english = analysis_of("rates rise again", "a late goal")

    assert values(baseline_settings(english, SPACED, {}))["autotune-seconds"] == "60"
    assert set(values(baseline_settings(english, SPACED, {"search": "none"}))) == {"tokens"}
    assert baseline_settings(english, SPACED, {"kinds": ["majority"]}) == ()
    assert "tokens" in values(baseline_settings(english, SPACED, {"kinds": "majority,fasttext"}))
