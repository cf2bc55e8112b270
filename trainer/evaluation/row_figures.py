"""What a model said of each text, and what that cost: a row a text."""

from __future__ import annotations

import csv
import io
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

# Probabilities come rounded to six decimals; one that became 0 may have been up to here.
LEAST_PROBABILITY = 5e-7
HEADER = ("row", "label", "predicted", "confidence", "loss")


@dataclass(frozen=True, slots=True)
class RowFigures:
    """A row (from 0): `predicted` is None where nothing of the text was left to classify; `loss` is in nats."""

    row: int
    label: str
    predicted: str | None
    confidence: float
    loss: float


@dataclass(frozen=True, slots=True)
class Example:
    """A row with its text."""

    text: str
    figures: RowFigures


def losses(truth: NDArray[np.int64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cross-entropy of each text: -ln of the probability of its label. (n,), (n, classes) → (n,)."""
    given = probabilities[np.arange(len(truth)), truth]  # (n,)
    return 0.0 - np.log(np.maximum(given, LEAST_PROBABILITY))  # a minus sign would make -0 of a certain text's


def row_figures(
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    labels: tuple[str, ...],
) -> tuple[RowFigures, ...]:
    """All rows, in order; a negative prediction is no label."""
    found = zip(
        truth.tolist(),
        predicted.tolist(),
        probabilities.max(axis=1).tolist(),
        losses(truth, probabilities).tolist(),
        strict=True,
    )
    return tuple(
        RowFigures(row, labels[label], labels[said] if said >= 0 else None, confidence, round(loss, 6))
        for row, (label, said, confidence, loss) in enumerate(found)
    )


def extremes(
    rows: tuple[RowFigures, ...], texts: tuple[str, ...], count: int
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """The rows of highest loss, and those of lowest; of equal ones, the first in the file come first."""
    highest = sorted(rows, key=lambda row: -row.loss)[:count]
    lowest = sorted(rows, key=lambda row: row.loss)[:count]
    return tuple(Example(texts[one.row], one) for one in highest), tuple(Example(texts[one.row], one) for one in lowest)


def to_csv(rows: tuple[RowFigures, ...]) -> bytes:
    """A table with a header, UTF-8; no label is an empty cell."""
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(astuple(row) for row in rows)
    return sheet.getvalue().encode()
