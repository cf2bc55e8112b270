"""A table in int8: the steps of its numbers, and what a step is worth, for each row or for each column.

Two tables are nearly all that a student weighs, its embedding and its n-grams' class scores, and in int8 they take half
of what half precision takes. A scale has half precision and a step 7 bits, so their product is exact in single
precision: all engines hold the same numbers, whether they multiply when they load a table or when they read a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEP_LIMIT = 127


@dataclass(frozen=True, slots=True, eq=False)
class ScaledInt8:
    """`steps` (rows, columns) int8 and `scales` float32, all exact in float16: (rows, 1) or (1, columns)."""

    steps: NDArray[np.int8]
    scales: NDArray[np.float32]

    @classmethod
    def rounded(cls, numbers: NDArray[Any], *, axis: int) -> ScaledInt8:
        """Numbers (rows, columns) in steps, with one scale for all that lie along `axis`: 1 for columns, 0 for rows.

        The largest of them is the last step. On the reference data a finer scale, which cuts the largest off and rounds
        all others less, moved logits further. Numbers that are not finite leave a scale that is not.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            scales = np.abs(numbers).max(axis=axis, keepdims=True) / STEP_LIMIT
            scales = scales.astype(np.float16).astype(np.float32)
            scales = np.where(scales == 0, np.float32(1), scales)
            steps = np.clip(np.rint(numbers / scales), -STEP_LIMIT, STEP_LIMIT).astype(np.int8)
        return cls(steps, scales)

    @property
    def numbers(self) -> NDArray[np.float32]:
        """What the table holds: (rows, columns)."""
        return self.steps * self.scales
