"""Where `bench --json` puts its figures: all of them, or nothing, and never in the place of what is no file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from unittest.mock import Mock

import pytest

from kuaixun.export.cli import main
from kuaixun.export.figures_file import write_figures


@pytest.mark.parametrize(
    ("options", "measure"), [([], "benchmark.measure"), (["--lengths", "2,4"], "scaling.measure_lengths")]
)
def test_who_stops_the_measuring_finds_the_folder_as_it_was(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], measure: str
) -> None:
    monkeypatch.setattr(f"kuaixun.export.{measure}", Mock(side_effect=KeyboardInterrupt))
    (tmp_path / "old.json").write_text("[1]\n")
    for name in ("new.json", "old.json"):
        command = ["bench", "--bundle", str(bundle_path), "--json", str(tmp_path / name), *options]
        assert main(command) == 130
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]
    assert (tmp_path / "old.json").read_text() == "[1]\n"


@pytest.mark.parametrize(("name", "reason"), [("none/a.json", "No such file or directory"), (".", "Is a directory")])
def test_what_cannot_be_written_is_told_before_the_measuring(
    bundle_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    reason: str,
) -> None:
    monkeypatch.setattr("kuaixun.export.benchmark.measure", Mock(side_effect=AssertionError))
    assert main(["bench", "--bundle", str(bundle_path), "--json", str(tmp_path / name)]) == 2
    assert f"{(tmp_path / name).resolve()}: {reason}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_link_is_followed_and_a_pipe_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "target.json").write_text("old")
    (tmp_path / "link.json").symlink_to("target.json")
    write_figures(tmp_path / "link.json", [1])
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "target.json").read_bytes()) == [1]

    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_figures(tmp_path / "pipe", [2])
    assert json.loads(os.read(reading, 100)) == [2]
    os.close(reading)
    assert (tmp_path / "pipe").is_fifo()
