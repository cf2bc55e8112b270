"""One token a character, the same ids for us and for whoever opens the folder with AutoTokenizer."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer, BertConfig

from kuaixun.trainer.data.cleaning import clean
from kuaixun.trainer.data.text_lines import TextLines
from kuaixun.trainer.encoder.tokenizer import (
    ENCODER_SPECIALS,
    cached_counted_tokens,
    character_tokenizer,
    counted_tokens,
    tokens_of_file,
)
from kuaixun.trainer.errors import DataError

TEXTS = ["股市 大涨3%", "球赛：决赛ＡＢ", "股市大跌"]


def test_a_saved_tokenizer_gives_the_same_ids_to_whoever_opens_the_folder(tmp_path: Path) -> None:
    cleaned = clean(TEXTS)
    tokenizer = character_tokenizer(counted_tokens(cleaned, size=100, minimum_frequency=1), 16)
    tokenizer.save_pretrained(tmp_path)
    BertConfig().save_pretrained(tmp_path)

    reopened = AutoTokenizer.from_pretrained(tmp_path)

    assert reopened(cleaned)["input_ids"] == tokenizer(cleaned)["input_ids"]
    assert reopened.convert_ids_to_tokens(reopened(cleaned[1])["input_ids"]) == ["[CLS]", *"球赛:决赛ab", "[SEP]"]
    assert reopened.pad_token_id == tokenizer.pad_token_id == 0
    assert reopened.mask_token_id == ENCODER_SPECIALS.index("[MASK]")


def test_rare_characters_are_unknown_and_the_space_is_a_character_where_the_texts_have_it() -> None:
    def tokens(*texts: str) -> list[str]:
        counted = counted_tokens(clean(texts), size=100, minimum_frequency=2)
        return character_tokenizer(counted, 16).tokenize("股 市涨")

    assert tokens("股市", "股市涨") == ["股", "市", "[UNK]"]
    assert tokens("股 市", "股市 涨") == ["股", " ", "市", "[UNK]"]


def test_a_vocabulary_has_the_size_asked_for_at_most() -> None:
    tokens = counted_tokens(clean(TEXTS), size=8, minimum_frequency=1)

    assert len(tokens) == 8
    assert tokens[:5] == ENCODER_SPECIALS


def test_berts_vocabulary_keeps_its_ids_and_leaves_spaces_out(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("[PAD]\n[unused1]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n股\n##市\n市\n", encoding="utf-8")

    tokenizer = character_tokenizer(tokens_of_file(path), 16)

    assert tokenizer("股 市")["input_ids"] == [3, 6, 8, 4]
    assert len(tokenizer) == 9


@pytest.mark.parametrize(
    ("content", "reason"),
    [("股\n市\n", r"\[PAD\], \[UNK\]"), ("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n股\n股\n", "twice")],
)
def test_a_file_that_is_no_vocabulary_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(DataError, match=reason):
        tokens_of_file(path)


def test_a_counted_vocabulary_is_counted_once(tmp_path: Path) -> None:
    lines = TextLines(("股市", "球赛"), Path("a.txt"), "0" * 64)
    first = cached_counted_tokens([lines], size=10, minimum_frequency=1, cache=tmp_path)
    (kept,) = tmp_path.iterdir()

    kept.write_text("\n".join([*first, "别"]) + "\n", encoding="utf-8")
    assert cached_counted_tokens([lines], size=10, minimum_frequency=1, cache=tmp_path) == (*first, "别")
    assert cached_counted_tokens([lines], size=11, minimum_frequency=1, cache=tmp_path) == first


def test_another_column_of_a_table_or_another_cleaning_has_a_vocabulary_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles, bodies = (TextLines((text,), Path("a.csv"), "0" * 64) for text in ("股市", "球赛"))

    def counted(lines: TextLines) -> tuple[str, ...]:
        return cached_counted_tokens([lines], size=10, minimum_frequency=1, cache=tmp_path)

    assert "股" in counted(titles)
    assert "股" not in counted(bodies)
    monkeypatch.setattr("kuaixun.trainer.encoder.tokenizer.cleaning_sha256", lambda: "another cleaning")
    counted(titles)
    assert len(list(tmp_path.iterdir())) == 3
