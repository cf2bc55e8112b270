"""Settings that follow from the data: lengths, words or characters, few texts or many."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kuaixun.schemas.manifest import Architecture, NgramBranch
from kuaixun.trainer.data.analysis import Analysis, analyse
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.pipeline.suited_settings import Suited, baseline_settings, student_settings


def analysis_of(*texts: str, copies: int = 100) -> Analysis:
    rows = texts * copies
    return analyse({"train": LabelledTexts(rows, np.arange(len(rows)) % 2, ("a", "b"), Path("train.txt"), "0" * 64)})


def values(suited: tuple[Suited, ...]) -> dict[str, str]:
    return {one.option: one.value for one in suited}


def test_texts_count_whole_up_to_a_length_that_can_be_served() -> None:
    for length, tokens in ((5, "16"), (60, "64"), (5000, "256")):
        chosen = student_settings(analysis_of("字" * length), {})
        assert values(chosen)["max-tokens"] == tokens
        assert ("99 % of the texts are no longer" in chosen[0].note) == (length < 1000)


def test_texts_that_are_cut_are_told_of_and_words_are_read_further() -> None:
    spaced = ("rates rise again " * 200, "a late goal")

    (suited,) = [one for one in student_settings(analysis_of(*spaced), {}) if one.option == "max-tokens"]
    assert suited.value == "1024"
    assert "what stands beyond is not read; 50 % of the texts have more than" in suited.note
    assert values(student_settings(analysis_of("rates rise again " * 40), {}))["max-tokens"] == "688"


def test_texts_may_all_be_as_long_as_what_is_read() -> None:
    for text, tokens in (("字" * 256, 256), *(("a " * 500 + "b" * letters, 1024) for letters in range(19, 25))):
        (suited,) = [one for one in student_settings(analysis_of(text), {}) if one.option == "max-tokens"]
        is_whole = len(text) + 1 + (2 if " " in text else 0) <= tokens
        why = "99 % of the texts are no longer" if is_whole else "what stands beyond is not read"
        assert suited.note.startswith(f"max-tokens {tokens}: {why}")


def test_words_and_letters_are_for_all_but_ideographs() -> None:
    english, chinese = analysis_of("rates rise again", "a late goal"), analysis_of("央行加息", "绝杀进球 acm")
    thai, japanese = analysis_of("อัตราดอกเบี้ย"), analysis_of("利上げをする日本", "ゴールを決めた")

    for analysis in (english, thai, japanese):
        chosen = values(student_settings(analysis, {}))
        assert {"keyword-filters", "prepend-cls", "append-cls"} <= set(chosen)
        assert (chosen["ngram-orders"], chosen["embedding-size"]) == ("1,2,3", "64")
        assert "epochs" not in chosen
    assert "keyword-filters" not in values(student_settings(chinese, {}))
    assert values(baseline_settings(english, {}))["tokens"] == "jieba"
    for analysis in (chinese, thai, japanese):
        assert "tokens" not in values(baseline_settings(analysis, {}))


def test_japanese_is_known_by_its_kana_and_chinese_by_few_ideographs_among_names() -> None:
    headlines = ("東京株式市場で日経平均が大幅上昇した", "日本銀行が金融緩和策を決定へ")

    assert "keyword-filters" in values(student_settings(analysis_of(*headlines), {}))
    assert "keyword-filters" not in values(student_settings(analysis_of("iPhone 15发布 售价", "GPU降价"), {}))


def test_where_words_do_not_stand_apart_no_reason_says_that_they_do() -> None:
    for texts, filters in ((("อัตราดอกเบี้ย",), "512"), (("rates rise again", "a late goal"), "2048")):
        chosen = student_settings(analysis_of(*texts), {})
        assert values(chosen)["filters"] == filters
        assert any("detectors of words" in one.why for one in chosen) == (filters == "2048")


def test_short_words_are_told_with_their_neighbours() -> None:
    pinyin, english = ("heng da yi qiang xia shen", "wan ke tui sai"), ("rates rise again", "a late goal")
    korean = tuple("".join(chr(0xAC00 + 20 * row + place) + " " for place in range(20)) for row in range(30))

    for texts, widths, filters in ((pinyin, "12", "4096"), (english, "10", "2048"), (korean, "10", "2048")):
        chosen = student_settings(analysis_of(*texts), {})
        assert (values(chosen)["widths"], values(chosen)["filters"]) == (widths, filters)
        assert any("pairs" in one.why for one in chosen) == (widths == "12")


def test_a_student_of_many_classes_can_be_served() -> None:
    rows = ("rates rise again", *("".join(chr(0x400 + row + place) for place in range(8)) for row in range(0, 300, 8)))
    labels = tuple(f"class {number}" for number in range(4000))
    texts = LabelledTexts(rows * 200, np.arange(len(rows) * 200) % 4000, labels, Path("train.txt"), "0" * 64)

    chosen = values(student_settings(analyse({"train": texts}), {}))

    assert int(chosen["ngram-bits"]) < 17
    Architecture(
        vocabulary_size=400,
        embedding_size=int(chosen["embedding-size"]),
        widths=(int(chosen["widths"]),),
        filters=int(chosen["filters"]),
        ngrams=NgramBranch(size=4000, bucket_bits=int(chosen["ngram-bits"])),
    ).expect_servable(4000)


def test_many_texts_without_spaces_are_learnt_by_steps() -> None:
    assert "keyword-filters" not in values(student_settings(analysis_of("อัตราดอกเบี้ย", copies=20_000), {}))
    assert "keyword-filters" in values(student_settings(analysis_of("rates rise", copies=20_000), {}))


def test_more_characters_need_longer_vectors_and_more_buckets() -> None:
    syllables = ["".join(chr(0xAC00 + 20 * row + place) for place in range(20)) for row in range(30)]

    chosen = values(student_settings(analysis_of(*syllables), {}))

    assert (chosen["embedding-size"], chosen["ngram-bits"]) == ("128", "17")


def test_few_texts_are_met_more_often_than_many() -> None:
    few, more = (values(student_settings(analysis_of("央行加息", copies=n), {})) for n in (200, 30_000))

    assert int(few["epochs"]) > int(more["epochs"])
    assert few["widths"] == "1,2"
    assert "widths" not in more
    assert (few["batch-size"], more["batch-size"]) == ("32", "128")
    assert "batch-size" not in values(student_settings(analysis_of("央行加息", copies=100_000), {}))


def test_what_the_user_chose_stands(tmp_path: Path) -> None:
    english = analysis_of("rates rise again", "a late goal")

    assert student_settings(english, {"configuration": "published-256"}) == ()
    assert "widths" not in values(student_settings(english, {"widths": [2, 3]}))
    assert "prepend-cls" not in values(student_settings(english, {"prepend_cls": False}))
    assert "embedding-size" not in values(student_settings(english, {"embeddings": "x.npz"}))
    assert values(student_settings(english, {"ngram-bits": 12}))["ngram-orders"] == "1,2,3"
    assert "ngram-orders" not in values(student_settings(english, {"ngram-bits": "none"}))


def test_to_choose_what_would_be_chosen_changes_nothing_else() -> None:
    english, chinese = analysis_of("rates rise again", "a late goal"), analysis_of("央行加息", "绝杀进球")

    for analysis, asked in ((english, True), (chinese, False)):
        chosen = values(student_settings(analysis, {}))
        chosen.pop("keyword-filters", None)
        assert values(student_settings(analysis, {"keyword_filters": asked})) == chosen
        assert values(student_settings(analysis, {"keyword-filters": not asked})) != chosen


def test_a_course_is_chosen_where_there_is_one() -> None:
    english = analysis_of("rates rise again", "a late goal")

    assert not {"epochs", "learning-rate", "dropout"} & set(values(student_settings(english, {})))
    assert "ngram-bits" not in values(student_settings(english, {"ngram-bits": 12}))
    assert "epochs" in values(student_settings(english, {"widths": [2, 3]}))


def test_a_baseline_that_does_not_search_or_is_not_fasttext_is_told_of_no_search() -> None:
    english = analysis_of("rates rise again", "a late goal")

    assert values(baseline_settings(english, {}))["autotune-seconds"] == "60"
    assert set(values(baseline_settings(english, {"search": "none"}))) == {"tokens"}
    assert baseline_settings(english, {"kinds": ["majority"]}) == ()
    assert "tokens" in values(baseline_settings(english, {"kinds": "majority,fasttext"}))
