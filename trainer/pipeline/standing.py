"""How the student, and whoever teaches it, stand beside the best baseline: a line each, while the run goes on.

Choices are made on dev, so that dev decides which baseline is the best one and whether it is beaten; test is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kuaixun.trainer.evaluation.bootstrap import Interval
from kuaixun.trainer.pipeline.figures import Metrics, read_baselines, read_metrics
from kuaixun.trainer.pipeline.making import Made

TEACHERS = ("teacher", "network", "student")


@dataclass(frozen=True, slots=True)
class Standing:
    """A model's accuracy on dev, and on test where it was measured there; `folds` models have the mean of theirs.

    `interval` is what chance may make of that on dev, where the model's file tells it.
    """

    name: str
    dev: float
    test: float | None
    folds: int = 1
    interval: Interval | None = None


def teacher_warning(made: Sequence[Made]) -> str:
    """What is to be said of the stage made last: that it is a teacher no better than a baseline; else nothing."""
    last = made[-1]
    if last.exit_code or last.stage.section not in TEACHERS:
        return ""
    teacher, baseline = _of_records(last.stage.name, last.stage.section, last.stage.folder), _best_baseline(made)
    if teacher is None or baseline is None or teacher.dev > baseline.dev:
        return ""
    mean = f", the mean of {teacher.folds} folds," if teacher.folds > 1 else ""
    return (
        f"warning: {teacher.name} is no better than the baseline {baseline.name}: dev {teacher.dev:.4f}{mean} against "
        f"{baseline.dev:.4f}; a teacher no better than the student lowers it"
    )


def student_line(made: Sequence[Made]) -> str:
    """How the student of a finished run stands beside the best baseline; nothing where one of them is not there."""
    students = [one.stage for one in made if one.stage.section in ("distil", "prune") and not one.exit_code]
    baseline = _best_baseline(made)
    if not students or baseline is None:
        return ""
    student = _of_records("the student", students[-1].section, students[-1].folder)
    if student is None:
        return ""
    chance = baseline.interval
    between = f" ({chance.low:.4f} to {chance.high:.4f})" if chance else ""
    against = f"dev {student.dev:.4f} against {baseline.dev:.4f}{between}"
    if student.test is not None and baseline.test is not None:
        against += f", test {student.test:.4f} against {baseline.test:.4f}"
    against += ", the student's before its tables were rounded"
    if chance and chance.low <= student.dev <= chance.high:
        return f"the student is as good as the best baseline, {baseline.name}, to within chance: {against}"
    if student.dev < baseline.dev:
        return (
            f"warning: the student is worse than the baseline {baseline.name}: {against}; more texts, other settings "
            "of [distil] or a better teacher may help"
        )
    stands = "better than" if student.dev > baseline.dev else "no better than"
    return f"the student is {stands} the best baseline, {baseline.name}: {against}"


def _best_baseline(made: Sequence[Made]) -> Standing | None:
    """The best on dev of all that were measured; of equal ones the first."""
    found: list[Standing] = []
    for one in made:
        if one.stage.section == "baseline" and not one.exit_code:
            try:
                baselines = read_baselines(one.stage.folder)
            except (OSError, msgspec.DecodeError):
                continue
            found += [
                Standing(
                    of.name,
                    of.dev.accuracy,
                    of.test.accuracy if of.test else None,
                    interval=of.dev.accuracy_interval,
                )
                for of in baselines
            ]
    return max(found, key=lambda of: of.dev, default=None)


def _of_records(name: str, section: str, folder: Path) -> Standing | None:
    """A model by the metrics in its record, or several of folds by the means of theirs."""
    try:
        records = read_metrics(section, folder)
    except (OSError, msgspec.DecodeError):
        return None
    dev, test = _mean(records, "dev"), _mean(records, "test")
    return None if dev is None else Standing(name, dev, test, len(records))


def _mean(records: Sequence[Metrics], role: str) -> float | None:
    accuracies = [of[role]["accuracy"] for of in records if "accuracy" in of.get(role, {})]
    return sum(accuracies) / len(accuracies) if accuracies else None
