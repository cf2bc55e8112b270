"""A result that is one file: whole or not at all, and its failure names it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kuaixun.export.command_line import reason_of
from kuaixun.export.durable_file import write_durably
from kuaixun.export.new_folder import new_folder
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.new_file import write_new_file
from kuaixun.trainer.output_folder import refuse_unwritable_file

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("write", [write_new_file, write_durably])
def test_a_full_disk_is_told_with_the_name_of_the_result_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, bytes], None]
) -> None:
    opened = Path.open

    def full(path: Path, mode: str = "r", *more: object, **named: object) -> object:
        return opened(FULL, mode)

    monkeypatch.setattr(Path, "open", full)

    with pytest.raises(OSError, match="No space left") as caught:
        write(tmp_path / "result", b"x" * 10_000)

    assert caught.value.errno == errno.ENOSPC
    advice = "make room there, or write to another disk"
    assert reason_of(caught.value) == f"{tmp_path / 'result'} cannot be written: No space left on device; {advice}"
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_could_not_be_written_is_refused_before_the_work_and_nothing_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")

    refuse_unwritable_file("--score", tmp_path / "new" / "folders" / "scores")
    with pytest.raises(SettingError, match=r"--score: .*file exists already"):
        refuse_unwritable_file("--score", tmp_path / "file")
    with pytest.raises(SettingError, match=r"--score .*scores cannot be written: Not a directory; name another file"):
        refuse_unwritable_file("--score", tmp_path / "file" / "scores")

    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, bool]]:
    """What was flushed, by name, and whether `result` had its name by then."""
    seen: list[tuple[str, bool]] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        inode = os.fstat(descriptor).st_ino
        name = next(path.name for path in (tmp_path, *tmp_path.rglob("*")) if path.stat().st_ino == inode)
        seen.append((name, (tmp_path / "result").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    return seen


def test_a_new_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, flushed: list[tuple[str, bool]]) -> None:
    write_new_file(tmp_path / "result", b"content")

    assert flushed == [("whole", False), (tmp_path.name, True)]
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


def test_a_replaced_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, flushed: list[tuple[str, bool]]) -> None:
    write_durably(tmp_path / "result", b"content")

    assert flushed == [(".result.unfinished", False), (tmp_path.name, True)]


def test_a_new_folder_is_on_the_disk_with_all_it_holds_before_it_has_its_name(
    tmp_path: Path, flushed: list[tuple[str, bool]]
) -> None:
    with new_folder(tmp_path / "result") as folder:
        (folder / "inner").mkdir()
        for name in ("a", "inner/b"):
            (folder / name).write_bytes(b"content")

    assert flushed == [("b", False), ("inner", False), ("a", False), ("whole", False), (tmp_path.name, True)]


@pytest.mark.parametrize("links", [True, False], ids=["links", "no-links"])
def test_a_file_that_came_since_the_check_is_never_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool
) -> None:
    fsync, link = os.fsync, os.link

    def another_comes(descriptor: int) -> None:
        fsync(descriptor)
        (tmp_path / "result").write_text("theirs")

    def linked(source: Path, target: Path) -> None:
        if not links:
            raise PermissionError(errno.EPERM, "Operation not permitted", str(source), None, str(target))
        link(source, target)

    monkeypatch.setattr(os, "fsync", another_comes)
    monkeypatch.setattr(os, "link", linked)

    with pytest.raises(FileExistsError, match="result exists already; name a new file or remove it first"):
        write_new_file(tmp_path / "result", b"ours")

    assert (tmp_path / "result").read_text() == "theirs"


def test_a_file_system_without_hard_links_takes_new_files_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(source: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", str(source), None, str(target))

    monkeypatch.setattr(os, "link", refused)

    write_new_file(tmp_path / "result", b"content")

    assert (tmp_path / "result").read_bytes() == b"content"
