"""Vectors of words: segmentation, the skip-gram, the folder, the command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import fasttext_pybind
import numpy as np
import pytest
import safetensors.numpy

from kuaixun.schemas.manifest import Training
from kuaixun.trainer.cli import main
from kuaixun.trainer.data.text_lines import TextLines
from kuaixun.trainer.errors import DataError, EmbeddingError, FitError, SettingError
from kuaixun.trainer.words import skipgram_process
from kuaixun.trainer.words.segmentation import segmenter
from kuaixun.trainer.words.skipgram import Corpus, SkipgramSettings, learn_vectors
from kuaixun.trainer.words.vectors import WordVectors, read_word_vectors, write_word_vectors

SETTINGS = SkipgramSettings(size=8, epochs=30, minimum_frequency=1, sampling=1.0, learning_rate=0.1)
TEXTS = ("银行 降息 利好 股市", "央行 降息 利好 股市", "球队 夺冠 球迷 欢呼", "球星 夺冠 球迷 欢呼") * 60
TRAINING = Training(command="kuaixun-trainer words", seed=1, versions={}, data=())


# Where the process leaves how it went.
OUTCOME = "import sys, pathlib; pathlib.Path(sys.argv[1], 'outcome.json')"


def nothing(*_: object) -> None:
    """Whoever does not follow."""


def corpus(*texts: str, share: float = 1.0) -> Corpus:
    return Corpus(TextLines(texts, Path("texts.txt"), "0" * 64), share)


def test_a_text_is_cut_into_its_words_and_spaces_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    segmenter.cache_clear()
    assert segmenter()("人民银行 宣布降息") == ["人民银行", "宣布", "降息"]
    assert not list(tmp_path.iterdir())  # jieba leaves no dictionary behind


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bạn có muốn xoá không?", ["bạn", "có", "muốn", "xoá", "không", "?"]),
        ("привет, мир! ёлка_2", ["привет", ",", "мир", "!", "ёлка_2"]),
        ("in der straße l’été 12", ["in", "der", "straße", "l", "’", "été", "12"]),
        ("कशमीरी (भारत) फाइल।", ["कशमीरी", "(", "भारत", ")", "फाइल", "।"]),  # vowels beside letters are marks
        ("한국어 조선", ["한국어", "조선"]),
        ("宣布降息straße宣布 don't", ["宣布", "降息", "straße", "宣布", "don", "'", "t"]),
    ],
)
def test_a_word_of_a_script_with_spaces_stays_whole(text: str, words: list[str]) -> None:
    assert segmenter()(text) == words
    assert "".join(segmenter(spaces=True)(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "人民银行 宣布降息25%",
        "iphone 15 pro发布 c++ node.js gpt-4 涨3.5%",
        "東京々ー株 テスト 〇一 ㄅㄆ",
        "สวสดครบ",
        "ខមែរ",
        "မြနမာ",
        "1.5万亿元！ ½ ℃",
    ],
)
def test_what_is_written_without_spaces_and_ascii_are_left_to_jieba(text: str) -> None:
    import jieba

    assert segmenter(spaces=True)(text) == jieba.Tokenizer().lcut(text)


def test_jieba_needs_no_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    segmenter.cache_clear()

    assert segmenter()("宣布降息") == ["宣布", "降息"]
    assert segmenter() is segmenter()  # its dictionary is read once
    assert not capsys.readouterr().err


def test_words_in_like_company_lie_near_each_other() -> None:
    found = learn_vectors([corpus(*TEXTS)], SETTINGS, nothing, nothing)

    assert set(found.words) == {"银行", "央行", "降息", "利好", "股市", "球队", "球星", "夺冠", "球迷", "欢呼"}
    unit = found.vectors / np.linalg.norm(found.vectors, axis=1, keepdims=True)
    of = dict(zip(found.words, unit, strict=True))
    assert of["银行"] @ of["央行"] > of["银行"] @ of["球星"] + 0.2
    assert of["球队"] @ of["球星"] > of["球队"] @ of["央行"] + 0.2


def test_the_same_seed_gives_the_same_vectors_and_a_share_is_drawn_by_it() -> None:
    few = replace(SETTINGS, epochs=2)
    one, same = (learn_vectors([corpus(*TEXTS)], few, nothing, nothing) for _ in range(2))
    half = learn_vectors(
        [corpus(*(f"{text} 第{row}" for row, text in enumerate(TEXTS)), share=0.5)], few, nothing, nothing
    )

    assert one.words == same.words
    np.testing.assert_array_equal(one.vectors, same.vectors)
    assert 100 < sum(word.isdecimal() for word in half.words) <= 120


def test_texts_without_words_and_words_without_company_are_refused() -> None:
    with pytest.raises(DataError, match="cleaning leaves no word"):
        learn_vectors([corpus("", " ")], SETTINGS, nothing, nothing)
    with pytest.raises(FitError, match=r"no word is frequent enough; lower --minimum-frequency"):
        learn_vectors([corpus(*TEXTS)], replace(SETTINGS, minimum_frequency=10_000), nothing, nothing)


def test_a_training_that_meets_nan_is_done_again_with_half_the_learning_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[float] = []
    train = fasttext_pybind.train

    def fragile(model: Any, arguments: Any) -> None:
        tried.append(arguments.lr)
        train(model, arguments)
        if arguments.lr > 0.03:
            raise RuntimeError("Encountered NaN.")

    monkeypatch.setattr(fasttext_pybind, "train", fragile)
    (tmp_path / "words.txt").write_text("银行 降息\n球队 夺冠\n" * 30, encoding="utf-8")
    job = {"size": 4, "epochs": 1, "window": 2, "negatives": 1, "minimum_frequency": 1, "sampling": 1.0}
    # With ten threads fastText fills its whole table by itself: in this process nobody zeroes the memory for it.
    more = {"learning_rate": 0.1, "seed": 1, "threads": 10}
    (tmp_path / "job.json").write_text(json.dumps(job | more))

    skipgram_process.main(tmp_path)

    assert tried == [0.1, 0.05, 0.025]
    outcome = json.loads((tmp_path / "outcome.json").read_text())
    assert (outcome["retries"], outcome["learning_rate"], outcome["failure"]) == (2, 0.025, "")
    assert len((tmp_path / "vocabulary.txt").read_text(encoding="utf-8").split()) == 4


def test_a_file_of_the_users_is_no_module_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "msgspec.py").write_text("raise SystemExit('the user\\'s file was run')")
    monkeypatch.chdir(tmp_path)

    assert learn_vectors([corpus(*TEXTS)], replace(SETTINGS, epochs=1), nothing, nothing).words


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "for want of memory; choose a smaller --size"),
        ("raise SystemExit('no such library')", "no such library"),
        (f'{OUTCOME}.write_text(\'{{"failure": "Encountered NaN."}}\')', "met NaN 7 times.*lower --learning-rate"),
    ],
)
def test_each_failure_says_its_reason(monkeypatch: pytest.MonkeyPatch, program: str, reason: str) -> None:
    popen = subprocess.Popen

    def stand_in(command: list[str], **more: Any) -> Any:
        return popen([sys.executable, "-c", program, command[-1]], **more)

    monkeypatch.setattr("kuaixun.trainer.words.skipgram.subprocess.Popen", stand_in)

    with pytest.raises(FitError, match=reason):
        learn_vectors([corpus(*TEXTS)], SETTINGS, nothing, nothing)


@pytest.mark.parametrize(("name", "value"), [("sampling", float("nan")), ("sampling", -1.0), ("learning_rate", 1000.0)])
def test_numbers_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(SettingError, match="must be above 0"):
        SkipgramSettings(**{name: value})  # type: ignore[arg-type]


def test_a_folder_gives_back_what_was_written(tmp_path: Path) -> None:
    vectors = WordVectors(("股市", "a"), np.arange(6, dtype=np.float32).reshape(2, 3))
    write_word_vectors(tmp_path / "words", vectors, TRAINING)

    found = read_word_vectors(tmp_path / "words")

    assert found.words == vectors.words
    np.testing.assert_array_equal(found.vectors, vectors.vectors)


@pytest.mark.parametrize(
    ("words", "vectors", "reason"),
    [
        (b"a\n", np.zeros((2, 3), np.float32), r"float32 \(2, 3\); expected float32 \(1, size\)"),
        (b"a\nb\n", np.zeros((2, 3), np.float64), "float64"),
        (b"a\nb\n", np.full((2, 3), np.nan, np.float32), "the vector of 'a' is not finite"),
        (b"a\na\n", np.zeros((2, 3), np.float32), "a word stands there twice"),
        (b"\xff\nb\n", np.zeros((2, 3), np.float32), "holds no vectors of words"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(tmp_path: Path, words: bytes, vectors: np.ndarray, reason: str) -> None:
    (tmp_path / "words.txt").write_bytes(words)
    (tmp_path / "vectors.safetensors").write_bytes(safetensors.numpy.save({"vectors": vectors}))

    with pytest.raises(EmbeddingError, match=reason):
        read_word_vectors(tmp_path)


def test_the_command_writes_vectors_and_how_they_were_made(
    toy_file: Callable[[str, int, int], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = toy_file("train.txt", 120, 1)
    small = ("--size", "4", "--epochs", "1", "--minimum-frequency", "1")

    assert main(["words", "--texts", f"{train}=0.5", "--output", str(tmp_path / "words"), *small]) == 0

    found = read_word_vectors(tmp_path / "words")
    assert f"vectors of {len(found.words)} words" in capsys.readouterr().err
    record = json.loads((tmp_path / "words" / "words.json").read_text())
    assert record["command"].startswith("kuaixun-trainer words --texts train.txt=0.5 --output words")
    assert record["data"][0]["rows"] == 120
    assert record["versions"]["fasttext"] == version("fasttext")
    assert main(["words", "--texts", str(train), "--output", str(tmp_path / "words"), *small]) == 2
