"""`kuaixun-trainer evaluate`: a bundle, served as the worker serves it, measured on labelled texts."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kuaixun.export import Classifier, open_classifier
from kuaixun.export.command_line import path_of
from kuaixun.export.text.pipeline import in_batches
from kuaixun.trainer.commands.options import add_columns, columns_of
from kuaixun.trainer.data.labelled_texts import LabelledTexts, read_labelled_texts
from kuaixun.trainer.evaluation.figures import Evaluation, evaluate

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

BATCH_TEXTS = 1000


def add_to(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "evaluate",
        help="measure a bundle on labelled texts",
        description="Serve a bundle as the worker does and compare its labels with those of a file.",
    )
    bundle = parser.add_mutually_exclusive_group(required=True)
    bundle.add_argument("--bundle", type=path_of, metavar="DIR", help="the bundle to measure")
    bundle.add_argument("--default", action="store_true", help="measure the bundle that ships with the package")
    parser.add_argument("--data", type=path_of, required=True, metavar="FILE", help="labelled texts to measure on")
    parser.add_argument(
        "--train", type=path_of, metavar="FILE", help="labelled texts trained on: adds the score without those"
    )
    parser.add_argument("--engine", default="auto", metavar="NAME", help="engine to serve with (default: auto)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: auto)")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    add_columns(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, arguments: list[str], console: Console) -> int:
    """Measure and print on standard output. Raises TrainerError and ExportError."""
    classifier = open_classifier(options.bundle, engine=options.engine, device=options.device)
    columns = columns_of(options)
    data = read_labelled_texts(options.data, labels=classifier.labels, columns=columns)
    training_texts = None
    if options.train:
        training_texts = read_labelled_texts(options.train, labels=classifier.labels, columns=columns).texts
    figures = measure(classifier, data, training_texts)
    if options.json:
        origin = {"model": classifier.model_id, "data": data.source.name, "sha256": data.sha256}
        sys.stdout.write(json.dumps({**origin, **asdict(figures)}, ensure_ascii=False) + "\n")
    else:
        show(figures, Console())
    return 0


def measure(classifier: Classifier, data: LabelledTexts, training_texts: tuple[str, ...] | None) -> Evaluation:
    """Classify a file's raw texts and compare."""
    batches = [classifier.classify(texts) for texts in in_batches(data.texts, BATCH_TEXTS)]
    return evaluate(
        data.label_ids,
        np.concatenate([batch.label_ids for batch in batches]),
        np.concatenate([batch.confidences for batch in batches]),
        data.labels,
        texts=data.texts,
        training_texts=training_texts,
    )


def show(figures: Evaluation, console: Console) -> None:
    """The figures as a table, a class a row, and the totals below."""
    table = Table("class", *(f"{name}" for name in ("texts", "precision", "recall", "F1")))
    for column in table.columns[1:]:
        column.justify = "right"
    for row in figures.classes:
        table.add_row(Text(row.label), str(row.texts), f"{row.precision:.4f}", f"{row.recall:.4f}", f"{row.f1:.4f}")
    table.add_section()
    macro = (figures.macro_precision, figures.macro_recall, figures.macro_f1)
    table.add_row("macro mean", str(figures.texts), *(f"{figure:.4f}" for figure in macro))
    console.print(table)
    console.print(f"accuracy {figures.accuracy:.4f}", highlight=False)
    if figures.clean_accuracy is not None:
        seen = figures.texts - (figures.clean_texts or 0)
        console.print(
            f"accuracy {figures.clean_accuracy:.4f} without the {seen} texts seen in training", highlight=False
        )
    console.print(f"expected calibration error {figures.calibration_error:.4f}", highlight=False)
    if figures.unlabelled:
        console.print(f"{figures.unlabelled} texts had nothing to classify and count as wrong", highlight=False)
