"""What cleaning and tokenising promise, for any string at all."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuaixun.export.text.folding import DROP, CodePointTable, unicode_table
from kuaixun.export.text.patterns import PATTERNS, Pattern, Patterns
from kuaixun.export.text.pipeline import TextPipeline
from kuaixun.export.text.vocabulary import CLS, PAD, SPECIALS, UNK, Vocabulary, count_vocabulary
from kuaixun.schemas.manifest import TextParameters

# Surrogates too: a str may hold them, whatever the wire allows.
any_text = st.text(st.characters(exclude_categories=()), max_size=40)
markup = st.sampled_from(
    ["<b>", "</p>", "<br/>", "&amp;", "&#20013;", "&bad;", "http://a.cn/x", "www.b.cn", "c@d.cn", "<", "&"]
)
spaced_text = st.lists(st.sampled_from([" ", "\u3000", "\n", "a", "中", "\u200b", "。"]), max_size=12).map("".join)
dirty_text = st.lists(st.one_of(any_text, markup, spaced_text), max_size=5).map("".join)


def clean_by_hand(text: str, pipeline: TextPipeline) -> str:
    """The definition, one character at a time."""
    text = text[: pipeline.parameters.max_raw_chars]
    for pattern in pipeline.patterns.compile():
        text = pattern.apply(text)
    targets = [int(pipeline.table.targets[ord(character)]) for character in text]
    return re.sub(" +", " ", "".join(chr(target) for target in targets if target != DROP)).strip(" ")


@given(st.lists(dirty_text, max_size=6))
def test_a_batch_is_cleaned_as_the_definition_says_of_each_text_alone(pipeline: TextPipeline, texts: list[str]) -> None:
    assert pipeline.clean(texts) == [clean_by_hand(text, pipeline) for text in texts]


@given(st.lists(dirty_text, max_size=6))
def test_ids_are_those_of_the_cleaned_text_whatever_the_batch(pipeline: TextPipeline, texts: list[str]) -> None:
    encoded = pipeline.encode(texts)
    place = {character: number for number, character in enumerate(pipeline.vocabulary.characters, start=len(SPECIALS))}
    limit = pipeline.parameters.max_tokens
    for ids, length, cleaned in zip(encoded.ids, encoded.lengths, pipeline.clean(texts), strict=True):
        expected = [place.get(character, UNK) for character in cleaned[:limit]]
        assert ids.tolist() == expected + [PAD] * (encoded.ids.shape[1] - len(expected))
        assert length == len(cleaned)


@given(any_text)
def test_cleaning_twice_changes_nothing_more(pipeline: TextPipeline, text: str) -> None:
    unmarked = text.translate(str.maketrans("", "", "<&:@.")).translate(
        {0xFF1C: None, 0xFF06: None, 0xFF1A: None, 0xFF20: None}
    )
    once = pipeline.clean([unmarked])
    assert pipeline.clean(once) == once


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("ＡＢＣ　１２３：（ｘ）", "abc 123:(x)"),
        ("iPhone\t 手机\n", "iphone 手机"),
        ("<em>股票</em>大涨<br/>收盘", "股票大涨 收盘"),
        ("A&amp;B &#20013;&#x56FD; &nbsp;&unknown;x", "a&b 中国 x"),
        ("&lt;b&gt;粗&lt;/b&gt;体", "粗体"),
        ("看https://a.example/路径", "看 路径"),
        ("见 www.example.com/a?b=c，完", "见 ,完"),
        ("寄x.y@example.com.cn谢谢", "寄 谢谢"),
        ("5<6 且 7>3", "5<6 且 7>3"),
        ("零\u200b宽\ufeff字\u0301符\ue000", "零宽字符"),
        ("🏀胜👍🏽🇨🇳", "胜"),
        ("\ufffd\ufffd", ""),
        ("前\ud800后", "前后"),
        ("…—“引”", "…—“引”"),
    ],
)
def test_what_people_meet_in_feeds_is_cleaned(pipeline: TextPipeline, raw: str, cleaned: str) -> None:
    assert pipeline.clean([raw]) == [cleaned]


def test_only_the_first_characters_are_read(pipeline: TextPipeline) -> None:
    limit = pipeline.parameters.max_raw_chars
    assert pipeline.clean(["\u200b" * limit + "中", "\u200b" * (limit - 1) + "中"]) == ["", "中"]


def test_the_cls_token_comes_first_and_counts_towards_the_cut(table: CodePointTable) -> None:
    parameters = TextParameters(max_tokens=3, prepend_cls=True)
    encoded = TextPipeline(parameters, table, Patterns(), Vocabulary(("a", "b"))).encode(["abab", "", "x"])
    assert encoded.ids.tolist() == [[CLS, 3, 4], [CLS, PAD, PAD], [CLS, UNK, PAD]]
    assert encoded.lengths.tolist() == [4, 0, 1]


def test_a_mark_stands_at_the_end_where_there_is_room(table: CodePointTable) -> None:
    vocabulary, texts = Vocabulary(("a", "b")), ["ab", "", "abab"]
    both = TextPipeline(TextParameters(max_tokens=4, prepend_cls=True, append_cls=True), table, Patterns(), vocabulary)
    assert both.encode(texts).ids.tolist() == [[CLS, 3, 4, CLS], [CLS, CLS, PAD, PAD], [CLS, 3, 4, 3]]
    assert both.encode(texts).lengths.tolist() == [2, 0, 4]
    assert both.encode([]).ids.shape == (0, 1)
    alone = TextPipeline(TextParameters(max_tokens=4, append_cls=True), table, Patterns(), vocabulary)
    assert alone.encode(texts).ids.tolist() == [[3, 4, CLS, PAD], [CLS, PAD, PAD, PAD], [3, 4, 3, 4]]


def test_an_empty_batch_has_no_rows(pipeline: TextPipeline) -> None:
    assert pipeline.encode([]).ids.shape == (0, 1)
    assert pipeline.clean([]) == []


def test_the_table_survives_being_written(table: CodePointTable) -> None:
    assert np.array_equal(CodePointTable.from_text(table.to_text()).targets, table.targets)


def test_every_target_of_the_table_folds_to_itself(table: CodePointTable) -> None:
    kept = table.targets[table.targets != DROP]
    assert np.array_equal(table.targets[kept], kept)


def test_latin_letters_can_be_dropped_in_every_form() -> None:
    pipeline = TextPipeline(TextParameters(), unicode_table(drop_latin=True), Patterns(), Vocabulary(()))
    assert pipeline.clean(["iPhone Ｘ 手机 é"]) == ["手机 é"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0041\t0042", "line 1: expected three"),
        ("0041\t0042\tzz", "line 1: expected three"),
        ("41\t0042\t-", "line 1: expected three"),
        ("00aa\t00AB\t-", "line 1: expected three"),
        ("0041\t0042\t-\u2028", "line 1: expected three"),
        ("0041\t0041\t-\n\nD800\tDFFF\t-\n", "line 2: expected three"),
        ("# \x85 \u2028\nzz", "line 2: expected three"),
        ("", "line 1: expected three"),
        ("D801\tDFFF\t-\n", "the table keeps surrogates"),
        ("0041\t0040\t-", "line 1: the run 41-40"),
        ("0041\t0042\t-\n0042\t0043\t-", "line 2: the run 42-43"),
        ("0041\t110000\t-", "line 1: the run"),
        ("0041\t0042\t10FFFF", "line 1: the target 10FFFF"),
        ("0041\t0041\t0042\n0042\t0042\t0043", "does not fold to itself"),
        ("0041\t0041\t-\n0042\t0042\t0041", "does not fold to itself"),
    ],
)
def test_a_damaged_table_is_refused_with_its_line(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        CodePointTable.from_text(text)


def test_a_pattern_from_outside_is_refused() -> None:
    slow = Pattern(name="tag", guard="<", regex="(a+)+$", replacement="")
    with pytest.raises(ValueError, match="not one of this format's"):
        Patterns(patterns=(slow,))
    assert Patterns(patterns=PATTERNS[:2]).patterns == PATTERNS[:2]


@given(dirty_text)
def test_a_guard_never_hides_a_match(text: str) -> None:
    for pattern in PATTERNS:
        assert pattern.guard in text or not re.search(pattern.regex, text)


def test_the_vocabulary_ranks_by_frequency_then_code_point() -> None:
    texts = ["bbb", "aa", "cc", "d"]
    assert count_vocabulary(texts, max_size=99).characters == ("b", "a", "c", "d")
    assert count_vocabulary(texts, max_size=99, min_frequency=2).characters == ("b", "a", "c")
    assert count_vocabulary(texts, max_size=5).characters == ("b", "a")
    with pytest.raises(ValueError, match="leaves no room"):
        count_vocabulary(texts, max_size=3)


@given(st.sets(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20))
def test_a_vocabulary_of_any_characters_survives_being_written(characters: set[str]) -> None:
    vocabulary = Vocabulary(tuple(sorted(characters)))
    assert Vocabulary.from_text(vocabulary.to_text()) == vocabulary


@pytest.mark.parametrize(
    "text", ["", "[PAD]\n[UNK]\n", "[PAD]\n[UNK]\n[CLS]\nU+0041\tB\n", "[PAD]\n[UNK]\n[CLS]\nU+0041\n"]
)
def test_a_damaged_vocabulary_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="line"):
        Vocabulary.from_text(text)


@pytest.mark.parametrize("characters", [("a", "a"), ("ab",), ("\n",), ("\ud800",)])
def test_a_vocabulary_that_could_not_be_written_is_refused(characters: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="a vocabulary holds"):
        Vocabulary(characters)
