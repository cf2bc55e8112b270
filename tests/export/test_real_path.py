"""Links that lead in a circle: refused in one line by whatever is told to read or write there."""

from __future__ import annotations

from pathlib import Path

import pytest

from kuaixun.export import BundleError, open_classifier
from kuaixun.export.bundle.reader import read_manifest
from kuaixun.export.checkpoint import Checkpoint, write_checkpoint
from kuaixun.export.cli import main
from kuaixun.export.real_path import real_path

TOLD = "Too many levels of symbolic links"


@pytest.fixture
def circle(tmp_path: Path) -> Path:
    link = tmp_path / "circle"
    link.symlink_to(link)
    return link


def test_a_path_is_real_whether_it_exists_or_not(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    assert real_path(tmp_path / "link") == tmp_path.resolve() / "target"
    (tmp_path / "target").mkdir()
    assert real_path(tmp_path / "link" / "new") == tmp_path.resolve() / "target" / "new"


@pytest.mark.parametrize("below", ["", "bundle"])
def test_a_bundle_behind_a_circle_of_links_is_none(circle: Path, below: str) -> None:
    for read in (open_classifier, read_manifest):
        with pytest.raises(BundleError, match=TOLD):
            read(circle / below)


@pytest.mark.parametrize("command", ["classify", "inspect", "verify", "sign", "bench"])
def test_a_command_tells_of_a_circle_of_links_in_one_line(
    circle: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    key = ["--key", str(circle)] if command == "sign" else []
    assert main([command, "--bundle", str(circle), *key]) == BundleError.exit_code
    told = capsys.readouterr().err
    assert TOLD in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("below", ["", "new"])
def test_what_cannot_be_written_behind_a_circle_of_links_is_told_before_the_work(
    checkpoint: Checkpoint,
    bundle_path: Path,
    tmp_path: Path,
    circle: Path,
    below: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_checkpoint(tmp_path / "run", checkpoint)
    for command in (
        ["build", str(tmp_path / "run"), str(circle / below)],
        ["bench", "--bundle", str(bundle_path), "--json", str(circle / below)],
    ):
        assert main(command) == 2
        told = capsys.readouterr().err
        assert TOLD in told
        assert told.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["circle", "run"]
