"""The engine interface."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kuaixun.export.text.pipeline import Encoded


class Engine(Protocol):
    """Computes the student's logits.

    An engine is opened on a verified bundle and checked against its golden cases before it serves. It holds no state
    between calls; calls block and may come from several threads.
    """

    @property
    def name(self) -> str:
        """How the engine is named on the command line, with its device and precision, for logs and reports."""

    def logits(self, encoded: Encoded) -> NDArray[np.float64]:
        """Logits (n, classes), before calibration, one row a text in the batch's order.

        A row depends on its own text alone, bit for bit where `batch_invariant`. n = 0 is allowed. Raises nothing
        for ids that come from the bundle's own pipeline.
        """
