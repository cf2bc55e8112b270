"""Where a file or folder that somebody named really lies, once, so that a link turned later changes nothing."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def real_path(path: Path) -> Path:
    """The path without links, existing or not. Raises OSError where links lead in a circle.

    Path.resolve() would raise RuntimeError there, before Python 3.13, and nothing from then on.
    """
    real = Path(os.path.realpath(path))
    try:
        real.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None
    return real
