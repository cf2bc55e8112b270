"""Results on disk: a folder that was not there before, whole or not at all, even after a power cut.

Checkpoints and bundles are written so.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kuaixun.export.durable_file import failing_as, flush, flush_all
from kuaixun.export.real_path import real_path


def expect_writable(folder: Path, size_bytes: int = 0) -> None:
    """Find out, before long work, what would keep `write_folder` from writing that much; leaves nothing behind.

    Raises OSError, FileExistsError where `folder` is a file or holds something.
    """
    folder = real_path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} exists already; name a new folder or remove it first")
    if folder.is_mount():
        raise OSError(errno.EBUSY, "a mount point cannot be replaced; name a folder inside it", str(folder))
    above = folder.parent
    while not above.exists():
        above = above.parent
    with tempfile.TemporaryDirectory(dir=above, prefix=f".{folder.name}.") as probe:
        (Path(probe) / "probe").write_bytes(b"probe")
    if shutil.disk_usage(above).free < size_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(above))


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files as a new folder, whole or not at all.

    Raises OSError, FileExistsError where `folder` is a file or holds something.
    """
    with new_folder(folder, sum(map(len, files.values()))) as unfinished:
        for name, content in files.items():
            (unfinished / name).write_bytes(content)


@contextmanager
def new_folder(folder: Path, size_bytes: int = 0) -> Iterator[Path]:
    """A temporary neighbour to fill, which becomes `folder` when the block ends without an error, or is removed.

    Raises OSError naming `folder`, FileExistsError where `folder` is a file or holds something.
    """
    with failing_as(folder):
        folder = real_path(folder)
        expect_writable(folder, size_bytes)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as unfinished:
            whole = Path(unfinished) / "whole"
            whole.mkdir()
            yield whole
            _open_as_others(whole)
            flush_all(whole)
            whole.rename(folder)
            flush(folder.parent)


def _open_as_others(folder: Path) -> None:
    """Give every file the permissions that the umask gives a new one: some libraries write theirs for the owner alone.

    The umask is told by the folder, which was made in the plain way: to ask the process means to change it.
    """
    usual = folder.stat().st_mode & 0o666
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            mode = path.stat().st_mode
            if mode & usual != usual:
                path.chmod(mode & 0o7777 | usual)
