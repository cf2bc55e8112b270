"""`kuaixun-trainer analyse` from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kuaixun.trainer.cli import main


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    contents = {
        "train": "股市大涨\tfinance\n“股市”大涨\tsports\n球队[bold]夺冠\tsports\n😀\tsports\n",
        "dev": "球队[bold]夺冠\tsports\n",
    }
    options = []
    for role, content in contents.items():
        (tmp_path / f"{role}.txt").write_text(content, encoding="utf-8")
        options += [f"--{role}", str(tmp_path / f"{role}.txt")]
    return options


def test_json_is_one_object_of_stable_names(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyse", *files, "--json"]) == 0

    (line,) = capsys.readouterr().out.splitlines()
    analysis = json.loads(line)
    assert set(analysis) == {"labels", "files", "coverage", "overlaps", "alike_labels"}
    train = analysis["files"][0]
    assert (train["role"], train["texts"], train["empty_after_cleaning"]) == ("train", 4, 1)
    assert train["normalised_duplicates"]["examples"] == [
        [
            {"file": "train.txt", "line": 1, "label": "finance", "text": "股市大涨"},
            {"file": "train.txt", "line": 2, "label": "sports", "text": "“股市”大涨"},
        ]
    ]
    assert analysis["overlaps"][0]["exact"] == 1


def test_tables_name_classes_files_and_lines(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyse", *files]) == 0

    shown = capsys.readouterr().out
    for part in ("finance", "together", "train.txt:2: '“股市”大涨' sports", "dev.txt:1: '球队[bold]夺冠' sports"):
        assert part in shown


def test_an_index_into_labels_that_another_file_named_is_refused(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dev.txt").write_text("球队夺冠\t0\n", encoding="utf-8")

    assert main(["analyse", *files]) == 2
    assert "dev.txt, line 1: unknown label '0'; 2 are known from" in (said := capsys.readouterr().err)
    assert "with --classes FILE" in said


def test_embeddings_are_a_vocabulary_too(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "table.npz", embeddings=np.array([[-1.0, 1.0], [2.0, -2.0]]))
    (tmp_path / "rows.json").write_text('{"股": 0, "市": 1}', encoding="utf-8")
    table = ["--embeddings", str(tmp_path / "table.npz")]

    assert main(["analyse", *files, *table]) == 2
    assert "--embedding-vocabulary need each other" in capsys.readouterr().err
    assert main(["analyse", *files, *table, "--embedding-vocabulary", str(tmp_path / "rows.json"), "--json"]) == 0

    coverage = json.loads(capsys.readouterr().out)["coverage"]
    train = next(one for one in coverage if (one["role"], one["vocabulary"]) == ("train", "embeddings"))
    # 股市大涨, "股市"大涨, 球队[bold]夺冠
    assert (train["known"], train["characters"]) == (4, 20)


def test_bad_input_ends_with_code_2_and_one_line(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "latin.csv").write_bytes("text,label\ncafé,a\n".encode("latin-1"))
    (tmp_path / "weather.txt").write_text("晴\tweather\n", encoding="utf-8")

    for options, reason in (
        ([], "nothing to analyse; name files with --train"),
        ([*files, "--data", files[1]], "--data is one file by itself"),
        (["--data", str(tmp_path / "latin.csv")], "latin.csv, line 2: byte 14 of the file is not UTF-8"),
        ([*files, "--test", str(tmp_path / "weather.txt")], "weather.txt, line 1: unknown label 'weather'"),
        (["--data", files[1], "--text-column", "title"], ""),
    ):
        code = main(["analyse", *options])
        told = capsys.readouterr().err
        assert (code, len(told.splitlines())) == ((2, 1) if reason else (0, 0))
        assert reason in told


def test_labels_that_look_alike_are_noted_so_that_they_can_be_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = (
        "a",
        "a\u200b",
        "caf\u00e9",
        "cafe\u0301",
        "Sports",
        "sports",
        "SPORTS",
        "C",
        "C++",
        "http://a.b",
        "http://c.d",
    )
    (tmp_path / "all.txt").write_text("".join(f"文{label}\t{label}\n" for label in labels), encoding="utf-8")
    command = ["analyse", "--data", str(tmp_path / "all.txt")]

    assert main([*command, "--json"]) == 0
    analysis = json.loads(capsys.readouterr().out)
    assert main(command) == 0
    shown = capsys.readouterr().out

    assert sorted(map(sorted, analysis["alike_labels"])) == [
        ["SPORTS", "Sports", "sports"],
        ["a", "a\u200b"],
        ["cafe\u0301", "caf\u00e9"],
    ]
    assert r"note: 'a', 'a\u200b' look alike and are 2 classes" in shown
    assert r"note: 'cafe\u0301', 'caf\xe9' look alike" in shown
    assert "note: 'SPORTS', 'Sports', 'sports' look alike and are 3 classes" in shown
