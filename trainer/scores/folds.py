"""Out-of-fold scores: what teachers think of training rows that they have not seen.

A teacher knows by heart the rows that it learnt from, and its scores of them say little more than their labels. So
the rows are cut in k folds, k teachers learn from all folds but one each, and each row is scored by the one that did
not learn from it. Rows that say the same stand in one fold, or a teacher would have seen them after all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from kuaixun.trainer.data.repeats import compared, rows_by_key
from kuaixun.trainer.errors import SettingError


def fold_of_rows(texts: Sequence[str], label_ids: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """The fold (n,) of each row, from 0: every class spread evenly, normalised duplicates together.

    Raises SettingError where there are fewer different texts than folds.
    """
    groups = list(rows_by_key(compared(texts).normalised).values())
    if len(groups) < folds:
        raise SettingError(f"--folds {folds}: train holds {len(groups)} different texts; pass fewer folds")
    chance = np.random.default_rng(seed)
    order = chance.permutation(len(groups))
    by_class = order[np.argsort([label_ids[groups[index][0]] for index in order], kind="stable")]
    fold = np.empty(len(texts), dtype=np.int64)
    for place, index in enumerate(by_class.tolist()):
        fold[groups[index]] = place % folds
    return fold


def out_of_fold(
    fold: NDArray[np.int64], classes: int, score: Callable[[int, NDArray[np.int64]], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Logits (n, classes) of all rows; `score(k, rows)` are those of the teacher that did not learn from fold k."""
    logits = np.empty((len(fold), classes), dtype=np.float32)
    for number in np.unique(fold).tolist():
        rows = np.flatnonzero(fold == number)
        logits[rows] = score(number, rows)
    return logits
