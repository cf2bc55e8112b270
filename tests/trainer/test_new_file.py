"""A result that is one file: whole or not at all, and its failure names it."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from kuaixun.export.command_line import reason_of
from kuaixun.export.durable_file import write_durably
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
