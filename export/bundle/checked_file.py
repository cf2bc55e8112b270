"""One file of a bundle: opened without waiting, weighed before it is read, and held to its SHA-256.

What nobody here parses passes through a small buffer, so that opening a bundle takes the memory of what it needs.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from kuaixun.export.errors import BundleError, BundleTamperedError
from kuaixun.schemas.manifest import FileEntry

RESTORE = "Copy the bundle again from where it was made."
_BLOCK_BYTES = 1 << 18


def read_limited(folder: Path, name: str, limit_bytes: int) -> bytes:
    """A file's bytes, where they are no more than that many. Raises BundleTamperedError, BundleError for no folder."""
    with _opened(folder, name) as (file, size_bytes):
        if size_bytes > limit_bytes:
            raise _larger(folder / name, limit_bytes)
        return file.read(size_bytes)


def read_checked(folder: Path, name: str, entry: FileEntry) -> bytes:
    """A file's bytes, if they are those that the manifest promises. Raises as `check_file` does."""
    with _of_size(folder, name, entry) as file:
        content = file.read(entry.size_bytes)
    _expect(folder / name, entry, len(content), hashlib.sha256(content).hexdigest())
    return content


def check_file(folder: Path, name: str, entry: FileEntry) -> None:
    """Raise BundleTamperedError where a file's bytes are not those that the manifest promises."""
    digest, size_bytes, block = hashlib.sha256(), 0, memoryview(bytearray(_BLOCK_BYTES))
    with _of_size(folder, name, entry) as file:
        while got := file.readinto(block[: min(entry.size_bytes - size_bytes, _BLOCK_BYTES)]):
            digest.update(block[:got])
            size_bytes += got
    _expect(folder / name, entry, size_bytes, digest.hexdigest())


@contextmanager
def _of_size(folder: Path, name: str, entry: FileEntry) -> Iterator[BufferedReader]:
    """A file that has the size promised, so that reading it takes no more memory than it lies there."""
    with _opened(folder, name) as (file, size_bytes):
        if size_bytes > entry.size_bytes:
            raise _larger(folder / name, entry.size_bytes)
        if size_bytes < entry.size_bytes:
            raise _cut_short(folder / name, size_bytes, entry)
        yield file


@contextmanager
def _opened(folder: Path, name: str) -> Iterator[tuple[BufferedReader, int]]:
    """A regular file and its size."""
    try:
        with open(folder / name, "rb", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BundleTamperedError(f"{folder / name} is no regular file. {RESTORE}")
            yield file, status.st_size
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError) and not folder.is_dir():
            raise BundleError(
                f"there is no bundle at {folder}: no such folder. Name the folder of a bundle."
            ) from error
        raise BundleTamperedError(f"{folder / name} cannot be read: {error.strerror}. {RESTORE}") from error


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting: a pipe that nobody writes to would wait for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


def _expect(path: Path, entry: FileEntry, size_bytes: int, sha256: str) -> None:
    """Raise BundleTamperedError where what was read is not what the manifest promises."""
    if size_bytes < entry.size_bytes:
        raise _cut_short(path, size_bytes, entry)
    if sha256 != entry.sha256:
        raise BundleTamperedError(f"{path} was altered: its SHA-256 is not the manifest's. {RESTORE}")


def _larger(path: Path, limit_bytes: int) -> BundleTamperedError:
    return BundleTamperedError(f"{path} is larger than the {limit_bytes} bytes expected. {RESTORE}")


def _cut_short(path: Path, size_bytes: int, entry: FileEntry) -> BundleTamperedError:
    return BundleTamperedError(f"{path} is cut short: {size_bytes} bytes of {entry.size_bytes}. {RESTORE}")
