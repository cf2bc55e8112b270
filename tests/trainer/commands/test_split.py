"""`kuaixun-trainer split` from end to end."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from kuaixun.trainer.cli import main
from kuaixun.trainer.data.labelled_texts import read_split

ToyFile = Callable[[str, int, int], Path]


def test_one_file_becomes_three_that_train(
    toy_file: ToyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, output = toy_file("all.txt", 300, 1), tmp_path / "parts"

    assert main(["split", "--data", str(data), "--output", str(output)]) == 0

    assert sorted(path.name for path in output.iterdir()) == ["class.txt", "dev.txt", "test.txt", "train.txt"]
    split = read_split(output / "train.txt", output / "dev.txt", output / "test.txt", classes=output / "class.txt")
    assert {role: len(part) for role, part in split.parts.items()} == {"train": 240, "dev": 30, "test": 30}
    written = [line for path in output.glob("[dt]*.txt") for line in path.read_text(encoding="utf-8").splitlines()]
    assert sorted(written) == sorted(data.read_text(encoding="utf-8").splitlines())
    told = capsys.readouterr().err
    assert "warning: dev has 1" in told
    assert "collect more, or merge the class with another" in told
    assert "train: 240 texts" in told


def test_two_ratios_make_train_and_test(toy_file: ToyFile, tmp_path: Path) -> None:
    options = ["--data", str(toy_file("all.txt", 100, 1)), "--ratios", "7:3", "--seed", "2024"]

    assert main(["split", *options, "--output", str(tmp_path / "a")]) == 0
    assert main(["split", *options, "--output", str(tmp_path / "b")]) == 0

    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["class.txt", "test.txt", "train.txt"]
    assert (tmp_path / "a" / "test.txt").read_bytes() == (tmp_path / "b" / "test.txt").read_bytes()
    assert len((tmp_path / "a" / "test.txt").read_text(encoding="utf-8").splitlines()) == 30


def test_what_cannot_be_cut_leaves_nothing_behind(
    toy_file: ToyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.txt").write_text("涨\tfinance\n跌\tfinance\n", encoding="utf-8")
    (tmp_path / "few.txt").write_text("涨\ta\n跌\ta\n平\ta\n赢\tb\n", encoding="utf-8")
    output = tmp_path / "parts"

    for name, reason in (("one.txt", "all 2 texts are of one class"), ("few.txt", "the class 'b' has 1 different")):
        assert main(["split", "--data", str(tmp_path / name), "--output", str(output)]) == 2
        told = capsys.readouterr().err
        assert reason in told
        assert len(told.splitlines()) == 1
    assert not output.exists()


def test_a_full_disk_leaves_nothing_behind(
    toy_file: ToyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = toy_file("all.txt", 100, 1)
    write_bytes = Path.write_bytes

    def write(path: Path, content: bytes) -> int:
        if path.name == "dev.txt":
            raise OSError(errno.EFBIG, "File too large")  # as a write does, which names no file
        return write_bytes(path, content)

    monkeypatch.setattr(Path, "write_bytes", write)

    assert main(["split", "--data", str(data), "--output", str(tmp_path / "parts")]) == 2

    said = "parts cannot be written: File too large; lift the limit on the size of files (ulimit -f), or write to"
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["all.txt"]


def test_an_output_that_exists_and_ratios_of_no_sense_are_refused(
    toy_file: ToyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = toy_file("all.txt", 100, 1)

    assert main(["split", "--data", str(data), "--output", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err
    for ratios in ("8", "8:0:1", "a:b", "8:1:nan"):
        with pytest.raises(SystemExit):
            main(["split", "--data", str(data), "--output", str(tmp_path / "parts"), "--ratios", ratios])
        assert "as in 8:1:1 or 7:3" in capsys.readouterr().err


def test_many_scarce_classes_are_one_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "all.txt"
    data.write_text("".join(f"文{row}\tc{row % 12:02d}\n" for row in range(120)), encoding="utf-8")

    assert main(["split", "--data", str(data), "--output", str(tmp_path / "parts")]) == 0

    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert len(warnings) == 1
    assert "12 classes have fewer than 20 texts in a part (train 8 of 'c00', " in warnings[0]


def test_a_first_line_that_is_a_class_of_its_own_may_be_a_header(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "all.txt"
    rows = "".join(f"文{row}\tc{row % 2}\n" for row in range(20))
    data.write_text(f"text\tlabel\n{rows}", encoding="utf-8")

    assert main(["split", "--data", str(data), "--output", str(tmp_path / "parts")]) == 2

    assert "the class 'label' has one text, line 1, which may be a header" in capsys.readouterr().err
