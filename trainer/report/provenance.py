"""Which commands, with which versions, made everything on the page."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import kuaixun
from kuaixun.schemas.manifest import Training
from kuaixun.trainer.answering.models import names_of_scores
from kuaixun.trainer.baselines.measured import Baselines
from kuaixun.trainer.report.contents import MadeBy
from kuaixun.trainer.report.inputs import Run, TeacherFolder
from kuaixun.trainer.scores.teacher_scores import read_scores_header

DRAWN_WITH = ("numpy", "torch", "matplotlib", "umap-learn")


def made_by(
    command: str,
    scores: Sequence[Path],
    training: Training,
    baselines: Sequence[Baselines],
    teachers: Sequence[TeacherFolder],
    runs: Sequence[Run],
) -> tuple[MadeBy, ...]:
    """The commands of everything on the page, each once, this page's own last."""
    made = [MadeBy("baselines", one.command, "") for one in baselines]
    made += [_trained(f"teacher {one.name}", one.about.training) for one in teachers]
    for name, path in zip(names_of_scores(scores), scores, strict=True):
        made.append(MadeBy(f"scores {name}", read_scores_header(path).teacher, ""))
    made += [_trained(f"student {one.name}", one.record.training) for one in runs if not one.ships]
    made.append(_trained("this student", training))
    versions = {"kuaixun": kuaixun.__version__, "python": platform.python_version(), **_installed()}
    made.append(MadeBy("this page", command, _joined(versions)))
    return tuple(made)


def _trained(what: str, training: Training) -> MadeBy:
    return MadeBy(what, training.command, _joined(training.versions))


def _joined(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def _installed() -> dict[str, str]:
    found = {}
    for name in DRAWN_WITH:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
