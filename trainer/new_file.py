"""Results on disk that are one file: one that was not there before, whole or not at all, even after a power cut."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kuaixun.export.durable_file import failing_as, flush

# What file systems without hard links answer.
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)


def refuse_existing(path: Path) -> None:
    """Raise FileExistsError where something lies at `path`: results are never written over."""
    if path.exists():
        raise FileExistsError(f"{path} exists already; name a new file or remove it first")


def expect_writable(path: Path) -> None:
    """Find out, before long work, whether a new file can be written there; leaves nothing behind.

    Raises OSError, FileExistsError.
    """
    refuse_existing(path)
    above = path.absolute().parent
    while not above.exists():
        above = above.parent
    with tempfile.TemporaryDirectory(dir=above, prefix=f".{path.name}.") as probe:
        (Path(probe) / "probe").write_bytes(b"probe")


def write_new_file(path: Path, content: bytes) -> None:
    """Write a new file, whole or not at all, and the folders above it. Raises OSError, FileExistsError."""
    with _neighbour(path) as whole, failing_as(path):
        whole.write_bytes(content)
        flush(whole)
        _name(whole, path)
        flush(path.parent)


def _name(whole: Path, path: Path) -> None:
    """Give a finished file its name, and never another's. Raises OSError, FileExistsError."""
    try:
        os.link(whole, path)
    except FileExistsError:
        refuse_existing(path)
        raise
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        refuse_existing(path)
        whole.rename(path)


@contextmanager
def _neighbour(path: Path) -> Iterator[Path]:
    """A place for the file on the same disk, which is gone when the block ends."""
    refuse_existing(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as unfinished:
        yield Path(unfinished) / "whole"
