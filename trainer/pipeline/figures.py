"""What a finished stage came to, in a few words for the table at the end of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from kuaixun.trainer.data.analysis import Analysis


class _Figures(msgspec.Struct):
    """Of an evaluation, those that the table shows."""

    accuracy: float
    macro_f1: float = 0.0


class _Model(msgspec.Struct):
    name: str
    figures: _Figures


class _Evaluation(msgspec.Struct):
    models: list[_Model]


class _Baseline(msgspec.Struct):
    name: str
    dev: _Figures
    test: _Figures | None = None


class _Baselines(msgspec.Struct):
    baselines: list[_Baseline]


class _Record(msgspec.Struct):
    """Of a checkpoint or a teacher."""

    metrics: dict[str, dict[str, float]]


def read_analysis(path: Path) -> Analysis:
    """What `analyse` found. Raises OSError, msgspec.DecodeError."""
    return msgspec.json.decode(path.read_bytes(), type=Analysis)


def figures_of(section: str, folder: Path) -> str:
    """The figures of a stage's folder; nothing where it has none, or they cannot be read."""
    try:
        return _READERS[section](folder)
    except (KeyError, IndexError, OSError, msgspec.DecodeError):
        return ""


def _analysed(folder: Path) -> str:
    analysis = read_analysis(folder / "analysis.json")
    texts = ", ".join(f"{file.role} {file.texts}" for file in analysis.files)
    return f"{len(analysis.labels)} classes; texts: {texts}"


def _compared(folder: Path) -> str:
    found = msgspec.json.decode((folder / "figures" / "baseline.json").read_bytes(), type=_Baselines)
    return "; ".join(
        f"{one.name}: dev {one.dev.accuracy:.4f}" + (f", test {one.test.accuracy:.4f}" if one.test else "")
        for one in found.baselines
    )


def _recorded(file: str) -> Callable[[Path], str]:
    def read(folder: Path) -> str:
        # Teachers of folds lie side by side in one folder.
        paths = sorted([*folder.glob(f"*/{file}"), *folder.glob(f"*/fold-*/{file}")])
        metrics = msgspec.json.decode(paths[0].read_bytes(), type=_Record).metrics
        several = f" (the first of {len(paths)})" if len(paths) > 1 else ""
        return ", ".join(f"{role} {of['accuracy']:.4f}" for role, of in metrics.items() if "accuracy" in of) + several

    return read


def _measured(folder: Path) -> str:
    found = msgspec.json.decode((folder / "figures" / "evaluation.json").read_bytes(), type=_Evaluation)
    return "; ".join(
        f"{one.name}: accuracy {one.figures.accuracy:.4f}, macro F1 {one.figures.macro_f1:.4f}" for one in found.models
    )


_READERS: dict[str, Callable[[Path], str]] = {
    "analyse": _analysed,
    "baseline": _compared,
    "teacher": _recorded("teacher.json"),
    "network": _recorded("network.json"),
    "student": _recorded("checkpoint.json"),
    "distil": _recorded("checkpoint.json"),
    "prune": _recorded("manifest.json"),
    "evaluate": _measured,
}
