"""All that the page shows, gathered: the one thing that the template is given."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from kuaixun.schemas.manifest import Manifest
from kuaixun.trainer.baselines.measured import Baselines
from kuaixun.trainer.data.analysis import Analysis
from kuaixun.trainer.evaluation.comparison import Comparison
from kuaixun.trainer.evaluation.figures import Evaluation
from kuaixun.trainer.evaluation.measurement import MeasuredModel, Measurement
from kuaixun.trainer.report.against_baselines import AgainstBaseline
from kuaixun.trainer.report.compared_models import ModelLine
from kuaixun.trainer.report.examples import Examples
from kuaixun.trainer.report.inputs import Run, TeacherFolder
from kuaixun.trainer.report.thresholds import ChosenThreshold


@dataclass(frozen=True, slots=True)
class Plots:
    """Drawings by what they show; None where there is nothing to draw. `curves` belong to a run or a teacher each."""

    balance: Markup
    lengths: Markup
    curves: tuple[tuple[str, Markup], ...]
    confusion: Markup | None
    reliability: Markup
    coverage: Markup
    states: Markup | None


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """A class on the map of states: the number of its series, its sign, what stands for it there, its whole name."""

    series: int
    sign: str
    name: str
    label: str


@dataclass(frozen=True, slots=True)
class Confused:
    """Texts of the class `label` that were taken for `predicted`, and their share of the class."""

    label: str
    predicted: str
    texts: int
    share: float


@dataclass(frozen=True, slots=True)
class MadeBy:
    """A command that made a part of all this, and the versions that it ran with."""

    what: str
    command: str
    versions: str


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """Everything on the page. `has_train` says whether that file was at hand.

    `figures` are the student's on test, `lines` those of test's file on which its texts end.
    """

    manifest: Manifest
    measurement: Measurement
    figures: Evaluation
    analysis: Analysis
    baselines: tuple[Baselines, ...]
    teachers: tuple[TeacherFolder, ...]
    runs: tuple[Run, ...]
    models: tuple[ModelLine, ...]
    against_baseline: AgainstBaseline | None
    dev: Evaluation | None
    thresholds: tuple[ChosenThreshold, ...]
    examples: Examples
    legend: tuple[LegendEntry, ...]
    plots: Plots
    made_by: tuple[MadeBy, ...]
    lines: tuple[int, ...]
    dev_texts: int
    has_train: bool
    seed: int

    @property
    def student(self) -> MeasuredModel:
        """The bundle on the test texts."""
        return self.measurement.models[0]

    @property
    def scored(self) -> tuple[MeasuredModel, ...]:
        """What the files of scores say of the same texts."""
        return self.measurement.models[1:]

    def where(self, row: int) -> str:
        """Where a row (from 0) of test stands, for who looks into the file."""
        return f"{self.measurement.data}:{self.lines[row]}"

    @property
    def are_timed(self) -> bool:
        """Whether the speed of a teacher is known."""
        return any(one.slower is not None for one in self.models)

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Each of those against the student."""
        return self.measurement.comparisons


def commonest_confusions(figures: Evaluation, count: int = 12) -> tuple[Confused, ...]:
    """The pairs of classes that are mistaken most often."""
    names = [*(one.label for one in figures.classes), "no label"]
    found = [
        Confused(names[true], names[said], texts, texts / sum(row))
        for true, row in enumerate(figures.confusion)
        for said, texts in enumerate(row)
        if texts and said != true
    ]
    return tuple(sorted(found, key=lambda one: -one.texts)[:count])
