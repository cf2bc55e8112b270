"""One measurement at a time: two of them at once would each measure the other."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.failures import BenchmarkError


@contextmanager
def alone(folder: Path | None = None) -> Iterator[None]:
    """Hold this machine's place for measuring. Raises BenchmarkError where another process of this user has it."""
    path = (folder or Path(tempfile.gettempdir())) / f"kuaixun-benchmark-{os.getuid()}"
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise BenchmarkError(
                f"process {lock.read().strip()} measures on this machine; two at once measure each other: wait for it"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
