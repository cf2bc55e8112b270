"""`kuaixun-trainer distil`: labelled files and teachers' scores to a checkpoint folder."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import torch
from rich.console import Console

from kuaixun.export.command_line import INTERRUPTED_EXIT_CODE, path_of
from kuaixun.trainer.commands.options import (
    add_columns,
    add_embeddings,
    add_split,
    choose_device,
    columns_of,
    embeddings_of,
)
from kuaixun.trainer.commands.progress import plain_lines, watching
from kuaixun.trainer.commands.shown_paths import recorded_command
from kuaixun.trainer.commands.student_options import (
    TEACHER_FLAGS,
    TRANSFER_FLAGS,
    add_student,
    named_fit,
    refuse_idle,
    student_of,
)
from kuaixun.trainer.commands.values import weighted_scores
from kuaixun.trainer.data.labelled_texts import read_split
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.fitting.settings import FitSettings
from kuaixun.trainer.output_folder import refuse_unwritable
from kuaixun.trainer.student.configuration import Configuration
from kuaixun.trainer.student.distillation import DistillationJob, distil
from kuaixun.trainer.student.teaching import Teaching, read_teaching

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_to(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "distil",
        help="train a student and write its checkpoint",
        description="Train a TextCNN on labelled headlines: on their labels, and on what teachers say of them.",
    )
    add_split(parser, "texts to choose and calibrate on")
    add_embeddings(parser)
    parser.add_argument("--output", type=path_of, required=True, metavar="DIR", help="new folder for the checkpoint")
    _add_teachers(parser.add_argument_group("the teachers"))
    add_student(parser)
    add_columns(parser)
    parser.set_defaults(run=run, expect=settings_of)


def settings_of(options: argparse.Namespace) -> Configuration:
    """The student and its training, before any file is read. Raises SettingError."""
    student = student_of(options)
    if not (options.teacher_scores or options.transfer_scores):
        refuse_idle(options, TEACHER_FLAGS, "without --teacher-scores or --transfer-scores")
    if not options.transfer:
        refuse_idle(options, TRANSFER_FLAGS, "without --transfer")
    return student


def run(options: argparse.Namespace, arguments: list[str], console: Console) -> int:
    """Train, write, tell the figures. Raises TrainerError."""

    say = plain_lines(console)
    started_seconds = time.monotonic()
    student = settings_of(options)
    refuse_unwritable(options.output)
    device = choose_device(options.device)
    if options.threads:
        torch.set_num_threads(options.threads)
    embeddings = embeddings_of(options)
    split = read_split(options.train, options.dev, options.test, classes=options.classes, columns=columns_of(options))
    teaching = read_teaching(
        split.train,
        tuple(options.teacher_scores),
        options.transfer,
        tuple(options.transfer_scores),
        options.text_column,
    )
    _refuse_unheard_transfer(teaching, student.fit)
    teachers = max(len(options.teacher_scores), len(options.transfer_scores)) if student.fit.alpha else 0
    company = f"and {teachers} teacher{'s' * (teachers > 1)}" if teachers else "alone"
    say(f"learning from {len(split.train)} labels {company}, {len(split.train.labels)} classes, on {device}")
    for note in teaching.notes:
        say(note)
    with watching(console) as watcher:
        done = distil(
            DistillationJob(
                split=split,
                shape=student.shape,
                settings=student.fit,
                output=options.output,
                embeddings=embeddings,
                device=device,
                command=recorded_command(arguments, options),
                watcher=watcher,
                say=say,
                teaching=teaching,
                more_files=(student.origin,) if student.origin else (),
                named_settings=named_fit(options),
            )
        )
    for role, figures in done.figures.items():
        say(f"{role}: {figures.told()}")
    seconds = time.monotonic() - started_seconds
    say(f"checkpoint: {options.output}, from step {done.fit.best.step}, after {seconds:.0f} s")
    if done.fit.interrupted:
        say(f"interrupted after {done.fit.steps_done} of {done.fit.best.steps} steps: kept the best weights so far")
        return INTERRUPTED_EXIT_CODE
    return 0


def _add_teachers(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--teacher-scores",
        type=weighted_scores,
        action="append",
        default=[],
        metavar="FILE[:WEIGHT]",
        help="a teacher's scores of the training texts; give one or several (default weight: 1)",
    )
    group.add_argument(
        "--transfer",
        type=path_of,
        metavar="FILE",
        help="texts without labels, one a line or a CSV table's, plain, .xz or .gz",
    )
    group.add_argument(
        "--transfer-scores",
        type=weighted_scores,
        action="append",
        default=[],
        metavar="FILE[:WEIGHT]",
        help="a teacher's scores of these texts, likewise",
    )


def _refuse_unheard_transfer(teaching: Teaching, settings: FitSettings) -> None:
    """Raise SettingError where nothing is learnt from the transfer set, which has no labels."""
    if teaching.transfer is not None and not settings.alpha:
        raise SettingError("--alpha is 0: nothing is learnt from the --transfer texts; raise it or leave them away")
