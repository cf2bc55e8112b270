"""fastText as a baseline: its files, its process, and what becomes of NaN, of failures and of Ctrl-C."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kuaixun.trainer.baselines.fasttext import FastTextSettings, fasttext
from kuaixun.trainer.baselines.fasttext_process import Job, train
from kuaixun.trainer.baselines.fasttext_tokens import tokenised
from kuaixun.trainer.baselines.measured import Baseline
from kuaixun.trainer.data.labelled_texts import DataSplit
from kuaixun.trainer.errors import DataError, FitError
from kuaixun.trainer.words.segmentation import segmenter

SMALL = FastTextSettings(search_seconds=0, learning_rate=0.5, epochs=8, dimension=10, buckets=5000)


def nothing(*_: object) -> None:
    """Neither progress nor lines are of interest."""


def run(split: DataSplit, settings: FastTextSettings = SMALL) -> Baseline:
    return fasttext(split, settings, nothing, nothing)


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the baseline keeps its files: to see that nothing stays there."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("tokens", ["characters", "jieba"])
def test_it_learns_what_can_be_learnt_and_leaves_no_file_behind(
    toy_split: DataSplit, temporary_folder: Path, tokens: str
) -> None:
    baseline = run(toy_split, replace(SMALL, tokens=tokens, word_ngrams=1, epochs=40))

    assert baseline.name == f"fasttext-{tokens}"
    # jieba makes words of the toy world's random characters, hence knows fewer of them again.
    sure = {"characters": 0.95, "jieba": 0.8}[tokens]
    assert baseline.dev.accuracy >= sure
    assert baseline.test is not None
    assert baseline.test.accuracy >= sure
    assert list(temporary_folder.iterdir()) == []


def test_the_same_seed_gives_the_same_figures(toy_split: DataSplit) -> None:
    assert run(toy_split) == run(toy_split)


def test_labels_may_hold_anything(toy_split: DataSplit) -> None:
    labels = ("__label__1 财 经", "a\tb\n")
    named = DataSplit(
        *(replace(part, labels=labels) for part in (toy_split.train, toy_split.dev, toy_split.test) if part)
    )

    baseline = run(named)

    assert [one.label for one in baseline.dev.classes] == list(labels)
    assert baseline.dev.accuracy == run(toy_split).dev.accuracy


def test_texts_that_cleaning_empties_get_no_label_and_shift_no_other(toy_split: DataSplit) -> None:
    dev = toy_split.dev
    emptied = replace(dev, texts=("😀", *dev.texts), label_ids=np.concatenate([[0], dev.label_ids]))

    figures = run(replace(toy_split, dev=emptied)).dev

    whole = run(toy_split).dev
    assert figures.unlabelled == 1
    assert figures.accuracy == pytest.approx(whole.accuracy * len(dev) / (len(dev) + 1))


def test_a_file_of_which_cleaning_leaves_nothing_is_refused(toy_split: DataSplit) -> None:
    emptied = replace(toy_split.dev, texts=("😀",) * len(toy_split.dev))

    with pytest.raises(DataError, match=r"dev\.txt: cleaning leaves nothing of any of its 60 texts"):
        run(replace(toy_split, dev=emptied))


def test_its_own_search_begins_at_the_settings_given_and_is_measured(toy_split: DataSplit) -> None:
    said: list[str] = []
    shares: list[float] = []

    def advance(share: float | None, remark: str) -> None:
        shares.append(0.0 if share is None else share)
        said.append(remark)

    baseline = fasttext(toy_split, replace(SMALL, search_seconds=2), advance, nothing)

    assert baseline.name == "fasttext-characters-searched"
    assert baseline.dev.accuracy >= 0.95
    assert baseline.settings["dimension"] == 10
    assert any("best dev accuracy" in remark for remark in said)
    assert all(0 <= share <= 1 for share in shares)


def test_ctrl_c_in_a_search_keeps_the_best_so_far(toy_split: DataSplit) -> None:
    said: list[str] = []

    def interrupt(share: float | None, remark: str) -> None:
        if "best dev accuracy" in remark and "unknown" not in remark and not said:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)

    baseline = fasttext(toy_split, replace(SMALL, search_seconds=200), interrupt, said.append)

    assert baseline.dev.accuracy >= 0.9
    assert said == ["interrupted: training with the best settings found so far; press Ctrl-C again to give up"]


@pytest.mark.parametrize("told", ["", "Progress:   1.0% Trials:    3 Best score:  0.900000 ETA:   0h 4m 0s"])
def test_a_process_that_dies_of_ctrl_c_was_interrupted_and_did_not_fail(
    toy_split: DataSplit, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    """What it dies of is Python's own way with SIGINT, until fastText has put its own in the place of that."""
    said: list[str] = []
    started: list[subprocess.Popen[bytes]] = []
    popen, wait_for = subprocess.Popen, select.select

    def without_handler(_: list[str], **options: Any) -> subprocess.Popen[bytes]:
        code = f"import sys, time; sys.stderr.write({told!r}); sys.stderr.flush(); time.sleep(1000)"
        started.append(popen([sys.executable, "-c", code], **options))
        return started[-1]

    def interrupted_at_first(*arguments: Any) -> Any:
        monkeypatch.setattr("kuaixun.trainer.baselines.fasttext.select.select", wait_for)
        if not told:
            raise KeyboardInterrupt
        return wait_for(*arguments)

    def interrupt(share: float | None, remark: str) -> None:
        if remark.startswith("search") and not said:
            raise KeyboardInterrupt

    monkeypatch.setattr("kuaixun.trainer.baselines.fasttext.subprocess.Popen", without_handler)
    monkeypatch.setattr("kuaixun.trainer.baselines.fasttext.select.select", interrupted_at_first)

    with pytest.raises(KeyboardInterrupt):
        fasttext(toy_split, replace(SMALL, search_seconds=200), interrupt, said.append)

    assert [bool(process.returncode) for process in started] == [True]
    assert len(said) == bool(told)


def test_ctrl_c_in_a_training_ends_it_and_its_process(
    toy_split: DataSplit, temporary_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def remember(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **options))
        return started[-1]

    def interrupt(share: float | None, remark: str) -> None:
        if remark.startswith("training"):
            raise KeyboardInterrupt

    monkeypatch.setattr("kuaixun.trainer.baselines.fasttext.subprocess.Popen", remember)

    with pytest.raises(KeyboardInterrupt):
        fasttext(toy_split, replace(SMALL, epochs=10_000_000), interrupt, nothing)

    assert [process.returncode for process in started] == [-signal.SIGKILL]
    assert list(temporary_folder.iterdir()) == []


def test_a_search_that_nobody_times_is_started_anew(
    toy_split: DataSplit, temporary_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def silent_at_first(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        silent = [sys.executable, "-c", "import time; time.sleep(1000)"]
        started.append(popen(command if started else silent, **options))
        return started[-1]

    monkeypatch.setattr("kuaixun.trainer.baselines.fasttext.subprocess.Popen", silent_at_first)
    monkeypatch.setattr("kuaixun.trainer.baselines.fasttext.SILENT_SECONDS", 0.1)
    monkeypatch.setattr("kuaixun.trainer.baselines.fasttext.MOST_STARTS", 2)

    baseline = run(toy_split, replace(SMALL, search_seconds=2))

    assert baseline.dev.accuracy >= 0.9
    assert [process.returncode for process in started] == [-signal.SIGKILL, 0]


def test_a_search_without_time_for_one_training_says_what_to_do(toy_split: DataSplit) -> None:
    with pytest.raises(FitError, match="no training in 1 seconds; raise --autotune-seconds or --threads"):
        run(toy_split, replace(SMALL, search_seconds=1, epochs=10_000_000))


def test_a_learning_rate_beyond_all_use_is_an_error_with_a_remedy(toy_split: DataSplit) -> None:
    with pytest.raises(FitError, match="met NaN 7 times, halving its learning rate; lower --learning-rate"):
        run(toy_split, replace(SMALL, learning_rate=1e30))


@pytest.mark.parametrize("search_seconds", [0, 60])
def test_a_training_that_meets_nan_is_done_again_with_half_the_learning_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, search_seconds: int
) -> None:
    trained: list[tuple[float, int, bool]] = []

    class Model:
        def getArgs(self) -> SimpleNamespace:
            learning_rate, epochs, _ = trained[-1]
            return SimpleNamespace(lr=learning_rate, epoch=epochs, wordNgrams=2)

    def train_or_fail(model: Model, arguments: Any) -> None:
        searching = bool(arguments.autotuneValidationFile)
        # The best that the search found, whose last training fails.
        trained.append((8.0, 5, True) if searching else (arguments.lr, arguments.epoch, False))
        if trained[-1][0] > 1:
            raise RuntimeError("Encountered NaN.")

    fake = SimpleNamespace(
        args=lambda: SimpleNamespace(setManual=nothing, autotuneValidationFile=""),
        fasttext=Model,
        train=train_or_fail,
        model_name=SimpleNamespace(supervised=0),
        loss_name=SimpleNamespace(ova=0),
    )
    monkeypatch.setitem(sys.modules, "fasttext_pybind", fake)
    job = Job(
        learning_rate=4.0,
        epochs=3,
        word_ngrams=3,
        dimension=10,
        buckets=10,
        minimum_count=1,
        loss="ova",
        threads=1,
        seed=1,
        search_seconds=search_seconds,
        roles=("dev",),
    )

    _, outcome = train(tmp_path, job)

    rates = [rate for rate, _, _ in trained]
    assert rates == ([8.0, 4.0, 2.0, 1.0] if search_seconds else [4.0, 2.0, 1.0])
    assert outcome.retries == len(rates) - 1
    assert (outcome.learning_rate, outcome.epochs) == (1.0, 5 if search_seconds else 3)


def test_tokens_are_characters_or_words_and_never_a_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jieba").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "jieba"))
    segmenter.cache_clear()

    def cut(tokens: str, *texts: str) -> list[str]:
        return tokenised(texts, tokens, nothing)

    assert cut("characters", "Ａ股 涨", "😀") == ["<s> a 股 ▁ 涨", ""]
    words = cut("jieba", "人民银行 宣布降息 __label__3")
    assert words[0].split()[:3] == ["<s>", "人民银行", "宣布"]
    assert "__label__" not in words[0]
    assert not list((tmp_path / "jieba").iterdir())  # jieba leaves no dictionary behind


def test_progress_is_told_as_shares(toy_split: DataSplit) -> None:
    told: list[tuple[float | None, str]] = []

    def advance(share: float | None, remark: str) -> None:
        told.append((share, remark))

    fasttext(toy_split, replace(SMALL, epochs=400), advance, nothing)

    assert (1.0, "tokens of 240 texts") in told
    assert (1.0, "training") in told


def test_a_file_of_the_users_is_no_module_of_the_process(
    toy_split: DataSplit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "msgspec.py").write_text("raise SystemExit('the user\\'s file was run')")
    monkeypatch.chdir(tmp_path)

    assert run(toy_split).name == "fasttext-characters"
