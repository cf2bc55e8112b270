"""The folded convolutions in numpy: table rows, the windows of a batch, and the largest sum of rows over them.

What `folded.py` says, for whoever weighs one way of holding the rows against another; nothing serves from here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from kuaixun.export.text.vocabulary import PAD

Number = TypeVar("Number", bound=np.generic)


def table_rows(embedding: NDArray[Any], convolution: NDArray[Any]) -> NDArray[np.float32]:
    """Rows (width, vocabulary, filters) of an embedding (vocabulary, size) and a convolution (filters, size, width).

    Products are summed in double precision, as C++ does, so that both round the same sums.
    """
    places = convolution.astype(np.float64).transpose(2, 1, 0)  # (width, size, filters)
    rows: NDArray[np.float32] = (embedding.astype(np.float64) @ places).astype(np.float32)
    return rows


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """All windows of a batch end to end: `ids` (width, windows), and `starts` (texts,), each text's first window."""

    ids: NDArray[np.int32]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, ids: NDArray[np.int32], width: int) -> Windows:
        """Windows of one width of texts (n, tokens), PAD only at a row's end. Raises ValueError for a text of none."""
        counts = (ids != PAD).sum(axis=1)  # (n,)
        if not counts.all():
            raise ValueError("a text without tokens has no windows")
        padded = np.pad(ids, ((0, 0), (0, width - 1)), constant_values=PAD)  # (n, tokens + width - 1)
        rows, columns = np.nonzero(ids != PAD)  # (windows,)
        places = np.stack([padded[rows, columns + place] for place in range(width)])  # (width, windows)
        return cls(places, np.cumsum(counts) - counts)


def largest_sums(
    rows: NDArray[Number],
    windows: Windows,
    add: Callable[[NDArray[Number], NDArray[Number]], NDArray[Number]] = np.add,
) -> NDArray[Number]:
    """The largest sum of rows (width, vocabulary, filters) over each text's windows: (texts, filters)."""
    sums = rows[0][windows.ids[0]]  # (windows, filters)
    for of_place, ids in zip(rows[1:], windows.ids[1:], strict=True):
        sums = add(sums, of_place[ids])
    largest: NDArray[Number] = np.maximum.reduceat(sums, windows.starts, axis=0)
    return largest
