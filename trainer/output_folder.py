"""The new folder or file that a command writes, tried before the long work that would fill it."""

from __future__ import annotations

from pathlib import Path

from kuaixun.export.command_line import NO_ROOM
from kuaixun.export.new_folder import expect_writable
from kuaixun.trainer import new_file
from kuaixun.trainer.errors import SettingError


def refuse_unwritable(output: Path, size_bytes: int = 0, *, named: str | None = None) -> None:
    """Raise SettingError where that much could not be written as the new folder `output`: before the training.

    `named` is what the user knows of it, where that is not `--output` and the folder.
    """
    try:
        expect_writable(output, size_bytes)
    except FileExistsError as error:
        raise SettingError(f"--output: {error}") from error
    except OSError as error:
        reason = error.strerror or error  # without the temporary file's name, which nobody asked for
        advice = NO_ROOM.get(error.errno or 0, "name another folder")
        raise SettingError(f"{named or f'--output {output}'} cannot be written: {reason}; {advice}") from error


def refuse_unwritable_file(option: str, output: Path) -> None:
    """Raise SettingError where the new file that `option` names could not be written: before the long work."""
    try:
        new_file.expect_writable(output)
    except FileExistsError as error:
        raise SettingError(f"{option}: {error}") from error
    except OSError as error:
        reason = error.strerror or error
        advice = NO_ROOM.get(error.errno or 0, "name another file")
        raise SettingError(f"{option} {output} cannot be written: {reason}; {advice}") from error
