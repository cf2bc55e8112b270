"""From a bundle and labelled files to the page: the body of `kuaixun-trainer report`.

read what other commands wrote → serve the bundle on the texts → analyse them → draw → render → write, whole or not
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from markupsafe import Markup

from kuaixun.export import Classifier
from kuaixun.trainer.answering.models import Model, answers_of, answers_of_scores, model_of_bundle, model_of_teacher
from kuaixun.trainer.answering.speeds import texts_per_second
from kuaixun.trainer.data.analysis import Analysis, analyse
from kuaixun.trainer.data.labelled_texts import CsvColumns, LabelledTexts, read_labelled_texts
from kuaixun.trainer.evaluation.figures import Evaluation
from kuaixun.trainer.evaluation.measurement import Answers, measure
from kuaixun.trainer.report.against_baselines import against_baselines
from kuaixun.trainer.report.class_order import analysis_in_order, class_order, figures_in_order
from kuaixun.trainer.report.compared_models import compared_models
from kuaixun.trainer.report.contents import Contents, LegendEntry, Plots
from kuaixun.trainer.report.data_plots import class_balance, text_lengths
from kuaixun.trainer.report.drawing import MARKER_SIGNS, SERIES
from kuaixun.trainer.report.examples import choose_examples
from kuaixun.trainer.report.inputs import (
    Run,
    TeacherFolder,
    read_analysis,
    read_baselines,
    read_run,
    read_teacher_folder,
)
from kuaixun.trainer.report.provenance import made_by
from kuaixun.trainer.report.quality_plots import confusion_matrix, coverage_curve, reliability_diagram
from kuaixun.trainer.report.state_map import StateMap, draw_map, look_of, name_on_map, state_map
from kuaixun.trainer.report.thresholds import ChosenThreshold, choose_thresholds
from kuaixun.trainer.report.training_plots import learning_curves

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """What the page is made from. Only `test` must be given; what else is not given is left out, and said so.

    `states` texts at most are laid out on the map of states, 0 for no map. `seed` draws them, the examples and the
    resamples of intervals.
    """

    test: Path
    train: Path | None = None
    dev: Path | None = None
    analysis: Path | None = None
    baselines: tuple[Path, ...] = ()
    teachers: tuple[Path, ...] = ()
    runs: tuple[Path, ...] = ()
    scores: tuple[Path, ...] = ()
    columns: CsvColumns | None = None
    states: int = 2000
    seed: int = 0
    command: str = "kuaixun-trainer report"


def gather(request: ReportRequest, name: str, classifier: Classifier, device: torch.device, say: Say) -> Contents:
    """All that the page shows of the bundle called `name`. Raises TrainerError; quick refusals come first."""
    parts = _read_parts(request, classifier.labels)
    test, dev, manifest = parts["test"], parts.get("dev"), classifier.bundle.manifest
    given = read_analysis(request.analysis, test) if request.analysis else None
    baselines = tuple(read_baselines(folder, test) for folder in request.baselines)
    teachers = tuple(read_teacher_folder(folder, test) for folder in request.teachers)
    runs = tuple(read_run(folder, test, manifest.training) for folder in request.runs)
    bundle = model_of_bundle(name, classifier)
    answers = (*answers_of([bundle], test), *answers_of_scores(request.scores, test))
    training_texts = parts["train"].texts if "train" in parts else None
    measurement = measure(answers, test, training_texts=training_texts, seed=request.seed)
    on_dev = answers_of([bundle], dev)[0] if dev else None
    dev_figures = measure((on_dev,), dev, seed=request.seed).models[0].figures if on_dev and dev else None
    if timed := [one for one in teachers if not one.folds]:
        say(f"timing {len(timed)} teachers beside the student")
    ratios = _student_is_faster(bundle, teachers, test, device)
    if given is None:
        say(f"analysing {', '.join(parts)}")
    analysis = given or analyse(parts)
    if request.states:
        say(f"laying out the states of {min(request.states, len(test))} texts")
    found = state_map(classifier.bundle, test.texts, request.states, request.seed) if request.states else None
    student, order = measurement.models[0], class_order(classifier.labels)
    figures, analysis = figures_in_order(student.figures, order), analysis_in_order(analysis, test.labels, order)
    return Contents(
        manifest=manifest,
        measurement=measurement,
        figures=figures,
        analysis=analysis,
        baselines=baselines,
        teachers=teachers,
        runs=runs,
        models=compared_models(
            student,
            dev_figures.accuracy if dev_figures else manifest.metrics.get("dev", {}).get("accuracy"),
            measurement.models[1:],
            baselines,
            tuple(zip(teachers, ratios, strict=True)),
            runs,
        ),
        against_baseline=against_baselines(dev_figures, student.figures, baselines),
        dev=dev_figures,
        thresholds=_thresholds(on_dev, dev, answers[0], test),
        examples=choose_examples(answers[0].predictions, test, request.seed),
        legend=_legend(tuple(test.labels[number] for number in order)),
        plots=_draw(
            figures, analysis, (*runs, *teachers), _map(found, test, answers[0], order), manifest.text.characters
        ),
        made_by=made_by(request.command, request.scores, manifest.training, baselines, teachers, runs),
        lines=test.lines,
        dev_texts=len(dev) if dev else 0,
        has_train="train" in parts,
        seed=request.seed,
    )


def _read_parts(request: ReportRequest, labels: tuple[str, ...]) -> dict[str, LabelledTexts]:
    """The files by role, train first."""
    paths = {"train": request.train, "dev": request.dev, "test": request.test}
    return {
        role: read_labelled_texts(path, labels=labels, columns=request.columns)
        for role, path in paths.items()
        if path is not None
    }


def _student_is_faster(
    student: Model, teachers: tuple[TeacherFolder, ...], test: LabelledTexts, device: torch.device
) -> tuple[float | None, ...]:
    """How many times as fast as each teacher the student is; None for those of folds, which no one asks for speed.

    Raises SettingError for weights that cannot be opened.
    """
    timed = {one.path: model_of_teacher(one.path, one.name, device) for one in teachers if not one.folds}
    if not timed:
        return (None,) * len(teachers)
    fastest, *others = texts_per_second([one.timed for one in (student, *timed.values())], test.texts)
    ratios = {path: fastest / speed for path, speed in zip(timed, others, strict=True)}
    return tuple(ratios.get(one.path) for one in teachers)


def _thresholds(
    on_dev: Answers | None, dev: LabelledTexts | None, on_test: Answers, test: LabelledTexts
) -> tuple[ChosenThreshold, ...]:
    if on_dev is None or dev is None:
        return ()
    return choose_thresholds(on_dev.predictions, dev, on_test.predictions, test)


def _draw(
    figures: Evaluation,
    analysis: Analysis,
    trained: tuple[Run | TeacherFolder, ...],
    states: Markup | None,
    read_up_to: int,
) -> Plots:
    return Plots(
        balance=class_balance(analysis),
        lengths=text_lengths(analysis, read_up_to),
        curves=tuple(
            (one.name, learning_curves(f"curves-{number}", one.history))
            for number, one in enumerate(trained)
            if one.history
        ),
        confusion=confusion_matrix(figures),
        reliability=reliability_diagram(figures),
        coverage=coverage_curve(figures),
        states=states,
    )


def _map(found: StateMap | None, test: LabelledTexts, answers: Answers, order: tuple[int, ...]) -> Markup | None:
    """The map with the classes in the page's order, by which they get their colours and numbers."""
    if found is None:
        return None
    place_of = np.argsort(order)  # (classes,) from ids to places
    said = answers.predictions.label_ids
    predicted = np.where(said < 0, said, place_of[said])
    return draw_map(found, place_of[test.label_ids], predicted, tuple(test.labels[number] for number in order))


def _legend(labels: tuple[str, ...]) -> tuple[LegendEntry, ...]:
    """How each class looks on the map."""
    looks = (look_of(number) for number in range(len(labels)))
    return tuple(
        LegendEntry(
            SERIES.index(colour) + 1 if colour in SERIES else 0,
            MARKER_SIGNS[marker],
            name_on_map(number, labels),
            labels[number],
        )
        for number, (colour, marker) in enumerate(looks)
    )
