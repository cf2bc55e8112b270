"""Python's garbage collector, as the worker and the passthrough have it: a peer is not to be slower for that."""

from __future__ import annotations

import gc

# The worker's own, which is not imported: a peer's memory is measured, and would have the worker's modules in it.
OBJECTS_PER_COLLECTION = 100_000


def collect_seldom() -> None:
    """Leave out what stands by now, and look through the rest when so many objects are new.

    A batch is tens of thousands of objects that all go by themselves. Measured, this is a tenth of the processor time
    of a peer that labels in batches.
    """
    gc.freeze()
    gc.set_threshold(OBJECTS_PER_COLLECTION)
