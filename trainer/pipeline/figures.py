"""What a finished stage came to, in a few words for the table at the end of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from kuaixun.trainer.data.alike_labels import shown_apart
from kuaixun.trainer.data.analysis import Analysis
from kuaixun.trainer.evaluation.bootstrap import Interval

# The named figures of each role.
Metrics = dict[str, dict[str, float]]
# Where models say how good they are, in single precision; a bundle is served in whatever its manifest names.
RECORDS = {
    "teacher": "teacher.json",
    "network": "network.json",
    "student": "checkpoint.json",
    "distil": "checkpoint.json",
    "prune": "manifest.json",
}
SHOWN_ALIKE = 3  # groups of labels; the analysis holds all


class _Figures(msgspec.Struct):
    """Of an evaluation, those that the table shows."""

    accuracy: float
    macro_f1: float = 0.0
    accuracy_interval: Interval | None = None


class _Model(msgspec.Struct):
    """Of a bundle, which alone has an id, or of scores."""

    name: str
    figures: _Figures
    model_id: str | None = None


class _Evaluation(msgspec.Struct):
    models: list[_Model]


class BaselineFigures(msgspec.Struct):
    """Of one baseline."""

    name: str
    dev: _Figures
    test: _Figures | None = None


class _Baselines(msgspec.Struct):
    baselines: list[BaselineFigures]


class _Record(msgspec.Struct):
    """Of a checkpoint or a teacher."""

    metrics: Metrics


def read_analysis(path: Path) -> Analysis:
    """What `analyse` found. Raises OSError, msgspec.DecodeError."""
    return msgspec.json.decode(path.read_bytes(), type=Analysis)


def read_baselines(folder: Path) -> list[BaselineFigures]:
    """What the stage of baselines in `folder` measured. Raises OSError, msgspec.DecodeError."""
    return msgspec.json.decode((folder / "figures" / "baseline.json").read_bytes(), type=_Baselines).baselines


def read_metrics(section: str, folder: Path) -> list[Metrics]:
    """What the models that a stage left say of themselves, several where they are of folds.

    Raises OSError, msgspec.DecodeError.
    """
    file = RECORDS[section]
    # Teachers of folds lie side by side in one folder.
    paths = sorted([*folder.glob(f"*/{file}"), *folder.glob(f"*/fold-*/{file}")])
    return [msgspec.json.decode(path.read_bytes(), type=_Record).metrics for path in paths]


def figures_of(section: str, folder: Path) -> str:
    """The figures of a stage's folder; nothing where it has none, or they cannot be read."""
    try:
        return _READERS[section](folder)
    except (KeyError, IndexError, OSError, msgspec.DecodeError):
        return ""


def _analysed(folder: Path) -> str:
    analysis = read_analysis(folder / "analysis.json")
    texts = ", ".join(f"{file.role} {file.texts}" for file in analysis.files)
    alike = [shown_apart(group) for group in analysis.alike_labels]
    shown = "; ".join([*alike[:SHOWN_ALIKE], *(["…"] if len(alike) > SHOWN_ALIKE else [])])
    return f"{len(analysis.labels)} classes; texts: {texts}" + (f"; classes that look alike: {shown}" if alike else "")


def _compared(folder: Path) -> str:
    return "; ".join(
        f"{one.name}: dev {one.dev.accuracy:.4f}" + (f", test {one.test.accuracy:.4f}" if one.test else "")
        for one in read_baselines(folder)
    )


def _recorded(section: str, remark: str = "") -> Callable[[Path], str]:
    def read(folder: Path) -> str:
        metrics = read_metrics(section, folder)
        several = f" (the first of {len(metrics)})" if len(metrics) > 1 else ""
        accuracies = [f"{role} {of['accuracy']:.4f}" for role, of in metrics[0].items() if "accuracy" in of]
        return ", ".join(accuracies) + (remark if accuracies else "") + several

    return read


def _measured(folder: Path) -> str:
    found = msgspec.json.decode((folder / "figures" / "evaluation.json").read_bytes(), type=_Evaluation)
    return "; ".join(
        f"{one.name}{', as served' if one.model_id else ''}: accuracy {one.figures.accuracy:.4f}, "
        f"macro F1 {one.figures.macro_f1:.4f}"
        for one in found.models
    )


# A student's accuracy once more, as served, may be another: its tables are rounded then.
_READERS: dict[str, Callable[[Path], str]] = {
    "analyse": _analysed,
    "baseline": _compared,
    "teacher": _recorded("teacher"),
    "network": _recorded("network"),
    "student": _recorded("student", ", before rounding"),
    "distil": _recorded("distil", ", before rounding"),
    "prune": _recorded("prune", ", before rounding"),
    "evaluate": _measured,
}
