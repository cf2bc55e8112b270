"""A classifier at the narrowest seam: what it says of a title follows from the title, and nothing is learnt."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from kuaixun.export import NO_LABEL, Predictions

LABELS = ("财经", "体育", "科技", "娱乐")
POISON = "毒"


class FakeClassifier:
    """Labels by a checksum; finds nothing in blank titles; fails on a batch that holds POISON, or always."""

    def __init__(self, *, broken: bool = False, model_id: str = "f" * 64) -> None:
        self.labels: tuple[str, ...] = LABELS
        self.model_id = model_id
        self.broken = broken
        self.calls: list[int] = []

    def classify(self, texts: Sequence[str]) -> Predictions:
        self.calls.append(len(texts))
        if self.broken or any(POISON in text for text in texts):
            raise ValueError("no word for this")
        ids = np.array([expected_id(text) for text in texts], dtype=np.int64)
        scores = np.full((len(texts), len(LABELS)), 0.1)
        scores[np.arange(len(texts)), ids] = 0.7
        scores[ids == NO_LABEL] = 0.0
        return Predictions(ids, scores.max(axis=1, initial=0.0), scores)


def expected_id(title: str) -> int:
    return zlib.crc32(title.encode("utf-8", "surrogatepass")) % len(LABELS) if title.strip() else NO_LABEL


def expected_label(title: str) -> str:
    return LABELS[expected_id(title)]
