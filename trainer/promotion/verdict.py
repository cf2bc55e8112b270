"""Is the challenger fit to serve? Two bundles' predictions of the same rows to a verdict with its reasons.

It is where its accuracy is not below the champion's, and the F1 of no class that the champion knows has fallen by more
than the margin, both on the rows of these classes: a row of a new class the champion cannot but get wrong, which would
make up for what the challenger has unlearnt. The margin is held against the measured figures; the intervals beside them
say what chance may do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kuaixun.trainer.evaluation.bootstrap import Interval, resampled_intervals
from kuaixun.trainer.evaluation.confusion import Confusion


@dataclass(frozen=True, slots=True)
class ClassChange:
    """F1 of one class in [0, 1]; the interval is that of the change, over paired resamples of the rows."""

    label: str
    texts: int
    champion_f1: float
    challenger_f1: float
    change: float
    change_interval: Interval


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reasons` say why not; none where the challenger is promoted. `classes` are those that the champion
    knows and some row is of.

    The accuracies are those on the `rows` of classes that the champion knows; `whole_` ones count new classes too.
    """

    promoted: bool
    reasons: tuple[str, ...]
    rows: int
    champion_accuracy: float
    challenger_accuracy: float
    whole_champion_accuracy: float
    whole_challenger_accuracy: float
    margin: float
    classes: tuple[ClassChange, ...]


def judge(
    truth: NDArray[np.int64],
    champion: NDArray[np.int64],
    challenger: NDArray[np.int64],
    labels: tuple[str, ...],
    known: int,
    *,
    margin: float,
    seed: int = 0,
) -> Verdict:
    """Compare predictions (n,) with `truth` (n,), negative where there is none; the champion knows the first `known`.

    Some row must be of these. `margin` is a share, 0.005 for half a point.
    """
    whole = [float((one == truth).mean()) for one in (champion, challenger)]
    judged = truth < known  # (n,)
    truth, champion, challenger = truth[judged], champion[judged], challenger[judged]  # (rows,)
    compared = _class_changes(truth, champion, challenger, labels, known, seed)
    champion_right, challenger_right = (int((one == truth).sum()) for one in (champion, challenger))
    reasons = []
    if challenger_right < champion_right:
        of_known = "" if judged.all() else " of classes that the champion knows"
        reasons.append(f"{champion_right - challenger_right} fewer of {len(truth)} rows{of_known} are right")
    reasons += [_fall(one, margin) for one in compared if one.change < -margin]
    measured = {one.label for one in compared}
    if unmeasured := [label for label in labels[:known] if label not in measured]:
        reasons.append(f"no test row is of {', '.join(unmeasured)}, so that nobody knows whether it falls")
    return Verdict(
        promoted=not reasons,
        reasons=tuple(reasons),
        rows=len(truth),
        champion_accuracy=champion_right / len(truth),
        challenger_accuracy=challenger_right / len(truth),
        whole_champion_accuracy=whole[0],
        whole_challenger_accuracy=whole[1],
        margin=margin,
        classes=compared,
    )


def _class_changes(
    truth: NDArray[np.int64],
    champion: NDArray[np.int64],
    challenger: NDArray[np.int64],
    labels: tuple[str, ...],
    known: int,
    seed: int,
) -> tuple[ClassChange, ...]:
    """Of each of the first `known` classes that has rows, its F1 by both, with the interval of what it changed by."""
    classes = len(labels)
    said = np.stack([truth, *(np.where(one < 0, classes, one) for one in (champion, challenger))])  # (3, rows)
    kinds, counts = np.unique(said, axis=1, return_counts=True)  # (3, kinds), (kinds,)

    def f1_of(row: int, drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        return Confusion(kinds[0], kinds[row], drawn, classes).f1()  # (classes,)

    def changes(drawn: NDArray[np.int64]) -> tuple[float, ...]:
        return tuple((f1_of(2, drawn) - f1_of(1, drawn))[:known].tolist())

    before, after = f1_of(1, counts), f1_of(2, counts)
    intervals = resampled_intervals(counts, changes, seed)
    texts = np.bincount(truth, minlength=classes)
    return tuple(
        ClassChange(
            label=labels[index],
            texts=int(texts[index]),
            champion_f1=float(before[index]),
            challenger_f1=float(after[index]),
            change=float(after[index] - before[index]),
            change_interval=intervals[index],
        )
        for index in range(known)
        if texts[index]
    )


def _fall(change: ClassChange, margin: float) -> str:
    low, high = change.change_interval.low, change.change_interval.high
    doubt = "; chance alone may do that: more test rows would tell" if high > -margin else ""
    return (
        f"the F1 of {change.label} falls by {-change.change * 100:.2f} points, more than {margin * 100:g} "
        f"(95 % interval {low * 100:+.2f} to {high * 100:+.2f}, {change.texts} rows{doubt})"
    )
