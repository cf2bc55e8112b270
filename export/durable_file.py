"""A small file that others rely on: the old one or the new one, whole, even after a power cut."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_durably(path: Path, content: bytes) -> None:
    """Write a file, or replace it, at once. Raises OSError; then what there was is still there."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with failing_as(path):
            with unfinished.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


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
