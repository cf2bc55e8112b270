"""The environment that fastText 0.9.3 needs to train on nothing but its own numbers."""

from __future__ import annotations

import os


def zeroed_memory() -> dict[str, str]:
    """The environment for a process of fastText: glibc hands out zeros there.

    With fewer than ten threads, 0.9.3 fills only as many tenths of its table as it has threads and trains on whatever
    lay in the rest of the memory, now and then to NaN.
    """
    return os.environ | {"MALLOC_PERTURB_": "255"}
