"""`kuaixun-trainer evaluate`: bundles, served as the worker serves them, and teachers, measured on labelled texts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console

from kuaixun.export import open_classifier
from kuaixun.export.command_line import path_of
from kuaixun.export.new_folder import write_folder
from kuaixun.trainer.advance import advancing
from kuaixun.trainer.answering.models import (
    Model,
    answers_of,
    answers_of_scores,
    model_of_bundle,
    model_of_teacher,
    name_of_bundle,
    told_apart,
)
from kuaixun.trainer.commands.evaluation_tables import show
from kuaixun.trainer.commands.options import add_columns, add_device, choose_device, columns_of
from kuaixun.trainer.commands.values import real_number, whole_number
from kuaixun.trainer.data.labelled_texts import (
    LabelledTexts,
    expect_different_files,
    read_classes,
    read_labelled_texts,
)
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.evaluation.measurement import Answers, Measurement, measure, rows_of
from kuaixun.trainer.evaluation.row_figures import to_csv
from kuaixun.trainer.output_folder import refuse_unwritable

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_to(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "evaluate",
        help="measure bundles and teachers on labelled texts",
        description="Serve bundles as the worker does, or read what teachers said, and compare with the labels of a "
        "file. Several models are also compared with the first: --default, else the first --bundle, --teacher or file "
        "of --scores.",
    )
    models = parser.add_argument_group("the models, one or several")
    models.add_argument("--bundle", type=path_of, action="append", default=[], metavar="DIR", help="a bundle")
    models.add_argument("--default", action="store_true", help="the bundle that ships with the package")
    models.add_argument(
        "--teacher",
        type=path_of,
        action="append",
        default=[],
        metavar="DIR",
        help="folder of a teacher, a network, or a student that taught; it is asked for every text",
    )
    models.add_argument(
        "--scores", type=path_of, action="append", default=[], metavar="FILE", help="a teacher's scores of the data"
    )
    parser.add_argument("--data", type=path_of, required=True, metavar="FILE", help="labelled texts to measure on")
    parser.add_argument(
        "--train", type=path_of, metavar="FILE", help="labelled texts trained on: adds the score without those"
    )
    parser.add_argument(
        "--classes",
        type=path_of,
        metavar="FILE",
        help="class names, one a line, in the order of their ids (default: those of the models)",
    )
    parser.add_argument(
        "--target-accuracy",
        type=real_number(0, 1, "share; write 0.97 for 97 %", above=True),
        metavar="SHARE",
        help="name the worker's threshold at which answered texts reach this accuracy, as in 0.97",
    )
    parser.add_argument(
        "--dev",
        type=path_of,
        metavar="FILE",
        help="labelled texts to choose that threshold on, which is then told for --data too (default: --data)",
    )
    parser.add_argument("--engine", default="auto", metavar="NAME", help="engine to serve with (default: auto)")
    add_device(parser)
    parser.add_argument(
        "--seed", type=whole_number(0), default=0, metavar="N", help="of the resamples of intervals (default: 0)"
    )
    parser.add_argument("--details", action="store_true", help="show confusions, confidences and rows as well")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of the tables")
    parser.add_argument(
        "--output",
        type=path_of,
        metavar="DIR",
        help="new folder for evaluation.json and a CSV file of each model's rows",
    )
    add_columns(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, arguments: list[str], console: Console) -> int:
    """Measure and print on standard output. Raises TrainerError and ExportError."""
    if not (options.bundle or options.default or options.teacher or options.scores):
        raise SettingError("nothing to measure: name a --bundle, --default, a --teacher or a file of --scores")
    if options.dev and options.target_accuracy is None:
        raise SettingError("--dev changes nothing without --target-accuracy; leave it away, or name an accuracy")
    if options.output:
        refuse_unwritable(options.output)
    models = [*_bundles(options), *_teachers(options)]
    labels = read_classes(options.classes) if options.classes else models[0].labels if models else None
    read = partial(
        read_labelled_texts,
        labels_of=options.classes,
        order_chosen=options.classes is not None or len({model.labels for model in models}) == 1,
        columns=columns_of(options),
    )
    data = read(options.data, labels=labels)
    training_texts = read(options.train, labels=data.labels).texts if options.train else None
    dev = read(options.dev, labels=data.labels) if options.dev else None
    if dev:
        expect_different_files({"dev": (options.dev, dev.sha256), "data": (options.data, data.sha256)})
    asked = answers_of(models, data, partial(advancing, console))
    if dev:
        asked = _asked_of(dev, models, asked, console)
    answers = (*asked, *answers_of_scores(options.scores, data))
    measurement = measure(
        answers,
        data,
        training_texts=training_texts,
        target_accuracy=options.target_accuracy,
        dev=dev,
        seed=options.seed,
    )
    if options.output:
        _write(options.output, measurement, answers, data)
    if options.json:
        sys.stdout.write(msgspec.json.encode(measurement).decode() + "\n")
    else:
        show(measurement, Console(), details=options.details)
    return 0


def _bundles(options: argparse.Namespace) -> list[Model]:
    """Every bundle by its name, in the order given, the shipped one first."""
    paths: Sequence[Path | None] = [*([None] if options.default else []), *options.bundle]
    opened = [open_classifier(path, engine=options.engine, device=options.device) for path in paths]
    names = [name_of_bundle(path) for path in paths]
    # Bundles are often called `bundle`; then the model's id tells them apart.
    return [
        model_of_bundle(f"{name} {one.model_id}" if names.count(name) > 1 else name, one)
        for name, one in zip(names, opened, strict=True)
    ]


def _teachers(options: argparse.Namespace) -> list[Model]:
    """Every teacher by its folder's name, in the order given."""
    folders: list[Path] = options.teacher
    if not folders:
        return []
    names = told_apart(folders, [folder.resolve().name for folder in folders])
    device = choose_device(options.device)
    return [model_of_teacher(folder, name, device) for folder, name in zip(folders, names, strict=True)]


def _asked_of(
    dev: LabelledTexts, models: Sequence[Model], answers: Sequence[Answers], console: Console
) -> tuple[Answers, ...]:
    """The answers of these models with what they say of dev; one by one, for speeds are those on the data."""
    return tuple(
        replace(one, on_dev=answers_of([model], dev, partial(advancing, console))[0].predictions)
        for model, one in zip(models, answers, strict=True)
    )


def _write(output: Path, measurement: Measurement, answers: Sequence[Answers], data: LabelledTexts) -> None:
    """A new folder, whole or not at all: the whole measurement, and the rows of each model."""
    files = {"evaluation.json": msgspec.json.format(msgspec.json.encode(measurement), indent=2) + b"\n"}
    for number, one in enumerate(answers, start=1):
        files["rows.csv" if len(answers) == 1 else f"rows-{number}.csv"] = to_csv(rows_of(one, data))
    write_folder(output, files)
