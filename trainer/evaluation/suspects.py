"""Rows whose label may be wrong: confident learning.

Source: Northcutt, Jiang and Chuang 2021, Confident Learning: Estimating Uncertainty in Dataset Labels, Journal of
Artificial Intelligence Research 70, section 3.1 (the confident joint, equations 1 and 2) and 3.2 (pruning by what it
counts off its diagonal).

A class's threshold is the mean probability that the model gives it on the texts that bear its label. A text is counted
under the likeliest of the classes whose thresholds it reaches; where that is not its label, the label is suspect. The
model must not have been fitted on these texts: measure on dev or test, or take a teacher's out-of-fold scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Suspect:
    """A row (from 0) whose `label` has the probability `given`, and that the model takes for `suggested`."""

    row: int
    text: str
    label: str
    given: float
    suggested: str
    confidence: float


def suspects(
    truth: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    labels: tuple[str, ...],
    texts: tuple[str, ...],
) -> tuple[Suspect, ...]:
    """The suspect rows of `truth` (n,), those that the model is surest of first.

    `probabilities` (n, classes) are zeros for a text without an answer, which is never suspect.
    """
    bears = np.equal(truth[:, None], np.arange(len(labels)))  # (n, classes)
    answered: NDArray[np.bool_] = probabilities.max(axis=1) > 0  # (n,)
    asked = bears & answered[:, None]  # (n, classes)
    sums = np.where(asked, probabilities, 0.0).sum(axis=0)  # (classes,)
    texts_of = asked.sum(axis=0)  # (classes,)
    thresholds = np.divide(sums, texts_of, out=np.full(len(labels), np.inf), where=texts_of > 0)
    reached = np.where((probabilities >= thresholds) & answered[:, None], probabilities, -1.0)  # (n, classes)
    suggested = reached.argmax(axis=1)  # (n,)
    rows = np.flatnonzero((reached.max(axis=1) >= 0) & (suggested != truth))
    margins = probabilities[rows, suggested[rows]] - probabilities[rows, truth[rows]]
    return tuple(
        Suspect(
            row=row,
            text=texts[row],
            label=labels[truth[row]],
            given=float(probabilities[row, truth[row]]),
            suggested=labels[suggested[row]],
            confidence=float(probabilities[row, suggested[row]]),
        )
        for row in rows[np.argsort(-margins, kind="stable")].tolist()
    )
