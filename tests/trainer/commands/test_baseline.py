"""`kuaixun-trainer baseline` from end to end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kuaixun.trainer.cli import main

ToyFile = Callable[[str, int, int], Path]
SMALL = "--search none --epochs 30 --dimension 10 --buckets 5000"


@pytest.fixture
def files(toy_file: ToyFile) -> list[str]:
    train, dev, test = toy_file("train.txt", 240, 1), toy_file("dev.txt", 60, 2), toy_file("test.txt", 60, 3)
    return ["--train", str(train), "--dev", str(dev), "--test", str(test)]


def test_figures_are_shown_and_written(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "figures"

    assert main(["baseline", *files, *SMALL.split(), "--output", str(output), "--json"]) == 0

    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((output / "baseline.json").read_text(encoding="utf-8"))
    assert printed["command"].startswith("kuaixun-trainer baseline --train train.txt --dev dev.txt --test test.txt ")
    assert printed["labels"] == ["finance", "sports"]
    assert [(file["role"], file["rows"]) for file in printed["data"]] == [("train", 240), ("dev", 60), ("test", 60)]
    majority, fasttext = printed["baselines"]
    assert majority["name"] == "majority"
    assert fasttext["name"] == "fasttext-characters"
    assert fasttext["test"]["accuracy"] > 0.9 > 0.7 > majority["test"]["accuracy"]
    assert fasttext["test"]["macro_f1"] > 0.9


def test_the_table_has_a_row_for_each(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baseline", *files[:4], "--kinds", "majority"]) == 0

    shown = capsys.readouterr().out
    assert "majority: label " in shown
    assert "fasttext" not in shown
    assert "—" in shown


def test_what_cannot_be_measured_is_refused_in_one_line_and_leaves_nothing_behind(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = tmp_path / "one.txt"
    one.write_text("涨\tfinance\n跌\tfinance\n", encoding="utf-8")
    empty = tmp_path / "empty.txt"
    empty.touch()

    for more, reason in (
        (["--kinds", "frozen"], "--kinds frozen and --encoder need each other"),
        (["--kinds", "majority", "--encoder", str(tmp_path)], "need each other"),
        (["--encoder", str(tmp_path), "--kinds", "frozen"], "holds no config.json"),
        (["--learning-rate", "0"], "--learning-rate is 0.0; it must be above 0"),
        (["--train", str(one)], "one.txt: all 2 texts are of one class, 'finance'; training needs at least two"),
        (["--dev", str(empty)], "empty.txt: the file is empty"),
        (["--learning-rate", "1e30"], "fastText met NaN 7 times"),
    ):
        assert main(["baseline", *files, *SMALL.split(), "--output", str(tmp_path / "out"), *more]) == 2
        told = capsys.readouterr().err
        assert reason in told
        assert len(told.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_kind_that_there_is_not_is_refused(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["baseline", *files, "--kinds", "majority,svm"])

    assert "'svm' is no kind of baseline; there are majority, fasttext, frozen" in capsys.readouterr().err
