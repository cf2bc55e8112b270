"""The commonest class of train, whatever the text says: the accuracy that costs nothing."""

from __future__ import annotations

import numpy as np

from kuaixun.trainer.baselines.measured import Baseline, Guesses, measured
from kuaixun.trainer.data.labelled_texts import DataSplit


def majority(split: DataSplit) -> Baseline:
    """Say the commonest class of everything, the first of several, as sure as it is common."""
    counts = np.bincount(split.train.label_ids, minlength=len(split.train.labels))
    commonest = int(counts.argmax())
    share = float(counts[commonest] / counts.sum())
    guesses = {
        role: Guesses(np.full(len(data), commonest, dtype=np.int64), np.full(len(data), share))
        for role, data in split.parts.items()
    }
    return measured("majority", {"label": split.train.labels[commonest], "share": round(share, 6)}, split, guesses)
