"""What others rely on after a power cut: content that is on the disk before its name is.

A small file is the old one or the new one, whole.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What file systems answer that cannot flush a folder, and folders that may be written and not read.
NO_FLUSHING = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)


def write_durably(path: Path, content: bytes) -> None:
    """Write a file, or replace it, at once. Raises OSError; then the old one is there, or the new one, whole."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with failing_as(path):
            with unfinished.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
            flush(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Have the system write a file's content, or a folder's names, to the disk; blocks until it has. Raises OSError.

    A folder is left to the system where it cannot be told so: not every file system can, and it may be unreadable.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in NO_FLUSHING or not path.is_dir():
            raise


def flush_all(folder: Path) -> None:
    """`flush` a folder and everything in it, the innermost first. Raises OSError."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() or path.is_file():
            flush(path)
    flush(folder)


@contextmanager
def failing_as(path: Path) -> Iterator[None]:
    """An OSError names `path`, where the result should be: a full disk names no file, and who asked knows no other.

    One that is a sentence of its own, as FileExistsError of a result that is there already, stays as it is.
    """
    try:
        yield
    except OSError as error:
        if error.strerror:
            error.filename, error.filename2 = str(path), None
        raise
