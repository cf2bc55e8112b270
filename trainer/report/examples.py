"""Texts to look at: some that the model has right, some that it has wrong, and those it can hardly decide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kuaixun.export.predictions import Predictions
from kuaixun.trainer.data.labelled_texts import LabelledTexts

SHOWN = 4
BARS = 3


@dataclass(frozen=True, slots=True)
class Bar:
    """One class's probability; `is_label` marks the text's own class."""

    label: str
    probability: float
    is_label: bool


@dataclass(frozen=True, slots=True)
class ShownText:
    """A row (from 0) with its likeliest classes, the likeliest first."""

    row: int
    text: str
    label: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Examples:
    """`right` and `wrong` are drawn by the seed; `unsure` are those whose two likeliest classes are nearest."""

    right: tuple[ShownText, ...]
    wrong: tuple[ShownText, ...]
    unsure: tuple[ShownText, ...]


def choose_examples(said: Predictions, data: LabelledTexts, seed: int) -> Examples:
    """A few of each kind; texts without an answer are of none."""
    chance = np.random.default_rng(seed)
    answered = said.label_ids >= 0  # (n,)
    right = answered & (said.label_ids == data.label_ids)  # (n,)
    highest = np.sort(said.scores, axis=1)  # (n, classes)
    margins = np.where(answered, highest[:, -1] - highest[:, -2], np.inf)  # (n,)
    nearest = np.argsort(margins, kind="stable")[:SHOWN]

    def some(which: NDArray[np.bool_]) -> NDArray[np.int64]:
        return chance.permutation(np.flatnonzero(which))[:SHOWN]

    def shown(rows: NDArray[np.int64]) -> tuple[ShownText, ...]:
        return tuple(_shown(row, said.scores[row], data) for row in rows.tolist())

    return Examples(shown(some(right)), shown(some(answered & ~right)), shown(nearest[answered[nearest]]))


def _shown(row: int, scores: NDArray[np.float64], data: LabelledTexts) -> ShownText:
    """The likeliest classes, and the text's own if it is not among them."""
    label = int(data.label_ids[row])
    likeliest = np.argsort(-scores, kind="stable")[:BARS].tolist()
    if label not in likeliest:
        likeliest.append(label)
    bars = tuple(Bar(data.labels[one], float(scores[one]), one == label) for one in likeliest)
    return ShownText(row, data.texts[row], data.labels[label], bars)
