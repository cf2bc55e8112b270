"""Which of several processes writes: torchrun starts the same command once for each GPU."""

from __future__ import annotations

import os


def is_first_process() -> bool:
    """Whether this is the only process, or that of several which writes and tells: the first by torchrun's count."""
    return int(os.environ.get("RANK", "0")) == 0
