"""The new folder or file that a command writes, tried before the long work that would fill it."""

from __future__ import annotations

from pathlib import Path

from kuaixun.export.new_folder import expect_writable
from kuaixun.trainer import new_file
from kuaixun.trainer.errors import SettingError


def refuse_unwritable(output: Path, size_bytes: int = 0) -> None:
    """Raise SettingError where that much could not be written as the new folder `output`: before the training."""
    try:
        expect_writable(output, size_bytes)
    except FileExistsError as error:
        raise SettingError(f"--output: {error}") from error
    except OSError as error:
        reason = error.strerror or error  # without the temporary file's name, which nobody asked for
        raise SettingError(f"--output {output} cannot be written: {reason}; name another folder") from error


def refuse_unwritable_file(option: str, output: Path) -> None:
    """Raise SettingError where the new file that `option` names could not be written: before the long work."""
    try:
        new_file.expect_writable(output)
    except FileExistsError as error:
        raise SettingError(f"{option}: {error}") from error
    except OSError as error:
        reason = error.strerror or error
        raise SettingError(f"{option} {output} cannot be written: {reason}; name another file") from error
