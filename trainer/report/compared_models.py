"""Every model that a figure is known of, one a line: what the student has to beat, what taught it, itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kuaixun.trainer.baselines.measured import Baselines
from kuaixun.trainer.evaluation.measurement import MeasuredModel
from kuaixun.trainer.report.inputs import Run, TeacherFolder


@dataclass(frozen=True, slots=True)
class ModelLine:
    """One model. What nobody measured is None. `slower` is how many times as fast as it the student is."""

    kind: str
    name: str
    dev_accuracy: float | None = None
    accuracy: float | None = None
    macro_f1: float | None = None
    calibration_error: float | None = None
    clean_accuracy: float | None = None
    size_bytes: int | None = None
    slower: float | None = None
    remark: str = ""


def compared_models(
    student: MeasuredModel,
    student_dev_accuracy: float | None,
    scored: Sequence[MeasuredModel],
    baselines: Sequence[Baselines],
    teachers: Sequence[tuple[TeacherFolder, float | None]],
    runs: Sequence[Run],
) -> tuple[ModelLine, ...]:
    """Baselines, teachers (with how much faster the student is, if timed), scores, further runs, the student last."""
    lines = [
        ModelLine(
            "baseline",
            one.name,
            one.dev.accuracy,
            *((one.test.accuracy, one.test.macro_f1, one.test.calibration_error, one.test.clean_accuracy))
            if one.test
            else (None,) * 4,
        )
        for group in baselines
        for one in group.baselines
    ]
    lines.extend(
        _of_metrics("teacher", folder.name, folder.about.metrics, folder.size_bytes, slower, folder)
        for folder, slower in teachers
    )
    lines.extend(_measured("scores", model, None) for model in scored)
    lines.extend(_of_metrics("student", run.name, run.record.metrics) for run in runs if not run.ships)
    return (*lines, _measured("this student", student, student_dev_accuracy))


def _measured(kind: str, model: MeasuredModel, dev_accuracy: float | None) -> ModelLine:
    figures = model.figures
    return ModelLine(
        kind,
        model.name,
        dev_accuracy,
        figures.accuracy,
        figures.macro_f1,
        figures.calibration_error,
        figures.clean_accuracy,
        model.size_bytes,
    )


def _of_metrics(
    kind: str,
    name: str,
    metrics: Mapping[str, Mapping[str, float]],
    size_bytes: int | None = None,
    slower: float | None = None,
    folder: TeacherFolder | None = None,
) -> ModelLine:
    dev, test = metrics.get("dev", {}), metrics.get("test", {})
    int8 = metrics.get("int8", {})
    remark = folder.about.kind if folder else ""
    if folder and folder.folds:
        remark += f"; {folder.folds} folds, the mean of their figures, the sum of their sizes"
    if "int8_size_bytes" in int8:
        accuracies = [
            f"{role} {int8[f'{role}_accuracy']:.4f}" for role in ("dev", "test") if f"{role}_accuracy" in int8
        ]
        remark += f"; in int8 {int8['int8_size_bytes'] / 1e6:.1f} MB, {', '.join(accuracies)}"
    return ModelLine(
        kind,
        name,
        dev.get("accuracy"),
        test.get("accuracy"),
        test.get("macro_f1"),
        test.get("calibration_error"),
        test.get("clean_accuracy"),
        size_bytes,
        slower,
        remark,
    )
