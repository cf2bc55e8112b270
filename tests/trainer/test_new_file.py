"""A result that is one file: whole or not at all, and its failure names it."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from kuaixun.export.command_line import reason_of
from kuaixun.export.durable_file import write_durably
from kuaixun.trainer.new_file import write_new_file

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
    assert reason_of(caught.value) == f"{tmp_path / 'result'}: No space left on device"
    assert list(tmp_path.iterdir()) == []
