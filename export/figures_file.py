"""`bench --json FILE`: figures are written when all of them are there, and at once.

Whoever stops the measuring finds the file as it was, and no empty one in its place.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import msgspec

from kuaixun.export.durable_file import failing_as, write_durably
from kuaixun.export.real_path import real_path


def expect_writable_figures(path: Path) -> None:
    """Find out, before the measuring, what would keep the figures from being written. Raises OSError."""
    path = real_path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if _is_special(path):
        path.open("wb").close()
        return
    probe = path.with_name(f".{path.name}.probe")
    try:
        with failing_as(path):
            probe.write_bytes(b"probe")
    finally:
        probe.unlink(missing_ok=True)


def write_figures(path: Path, figures: Any) -> None:
    """Write figures as JSON for people to read too. Raises OSError."""
    path, content = real_path(path), msgspec.json.format(msgspec.json.encode(figures), indent=1) + b"\n"
    if _is_special(path):
        path.write_bytes(content)
    else:
        write_durably(path, content)


def _is_special(path: Path) -> bool:
    """A terminal, a pipe, `/dev/null`: what a file must never take the place of."""
    return path.exists() and not path.is_file()
