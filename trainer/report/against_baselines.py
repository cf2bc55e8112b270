"""Whether the student beats the best baseline: what the page says first of the models that it compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kuaixun.trainer.baselines.measured import Baselines
from kuaixun.trainer.evaluation.bootstrap import Interval
from kuaixun.trainer.evaluation.figures import Evaluation


@dataclass(frozen=True, slots=True)
class Difference:
    """Accuracies on one file, the student's minus the baseline's, and where each of the two may lie by chance.

    What a baseline said of each text is not kept: there is no interval of the difference itself, which would be
    narrower than these two tell.
    """

    role: str
    accuracy: float
    student: Interval
    baseline: Interval


@dataclass(frozen=True, slots=True)
class AgainstBaseline:
    """The best baseline on dev, or on test where dev was not given, and how the student differs from it there first."""

    name: str
    differences: tuple[Difference, ...]

    @property
    def is_worse(self) -> bool:
        """Whether the student is the worse one where the baseline was chosen."""
        return self.differences[0].accuracy < 0


def against_baselines(
    on_dev: Evaluation | None, on_test: Evaluation, groups: Sequence[Baselines]
) -> AgainstBaseline | None:
    """Choices are made on dev, so that dev tells which baseline is the best. None where there is none to compare."""
    baselines = [one for group in groups for one in group.baselines]
    if on_dev is None:
        baselines = [one for one in baselines if one.test]
    if not baselines:
        return None
    best = max(baselines, key=lambda one: (one.dev if on_dev or one.test is None else one.test).accuracy)
    measured = (("dev", on_dev, best.dev), ("test", on_test, best.test))
    return AgainstBaseline(
        best.name,
        tuple(
            Difference(role, ours.accuracy - theirs.accuracy, ours.accuracy_interval, theirs.accuracy_interval)
            for role, ours, theirs in measured
            if ours is not None and theirs is not None
        ),
    )
