"""`kuaixun-trainer report`: a training run as one page to read, in one file."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from rich.console import Console

from kuaixun.export import open_classifier
from kuaixun.export.command_line import path_of
from kuaixun.trainer.answering.models import name_of_bundle
from kuaixun.trainer.commands.options import add_columns, add_device, choose_device, columns_of
from kuaixun.trainer.commands.progress import plain_lines
from kuaixun.trainer.commands.shown_paths import recorded_command
from kuaixun.trainer.commands.values import whole_number
from kuaixun.trainer.new_file import write_new_file
from kuaixun.trainer.output_folder import refuse_unwritable_file

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

STATES = 2000
# `run` is what a command is started by.
DESTINATIONS = {"--run": "run_folders"}


def add_to(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "report",
        help="one HTML page of a training run: data, models, learning curves, figures, texts",
        description="Write one self-contained HTML file about a student and all that led to it. What is not given is "
        "left out, with a line that says which command adds it.",
    )
    parser.add_argument("--bundle", type=path_of, metavar="DIR", help="the student (default: the one that ships)")
    parser.add_argument("--test", type=path_of, required=True, metavar="FILE", help="labelled texts to measure on")
    parser.add_argument("--train", type=path_of, metavar="FILE", help="labelled texts that it learnt from")
    parser.add_argument("--dev", type=path_of, metavar="FILE", help="labelled texts that thresholds are chosen on")
    parser.add_argument("--output", type=path_of, required=True, metavar="FILE", help="new file for the page")
    given = parser.add_argument_group("what other commands wrote")
    given.add_argument(
        "--analysis", type=path_of, metavar="FILE", help="what analyse --json printed (default: analyse the files)"
    )

    def several(flag: str, metavar: str, says: str) -> None:
        more = f"{says}; may be given several times"
        given.add_argument(
            flag, type=path_of, action="append", default=[], metavar=metavar, dest=DESTINATIONS.get(flag), help=more
        )

    several("--baselines", "DIR", "what baseline wrote")
    several(
        "--teacher",
        "DIR",
        "folder of a teacher, network or student that taught: its figures, size, and speed beside the student's",
    )
    several("--scores", "FILE", "scores of the test texts, of a teacher or of a blend")
    several("--run", "DIR", "a checkpoint that distil wrote: its figures and learning curves")
    parser.add_argument(
        "--states",
        type=whole_number(0),
        default=STATES,
        metavar="N",
        help=f"texts at most on the map of states, 0 for no map (default: {STATES})",
    )
    parser.add_argument(
        "--seed", type=whole_number(0, (1 << 32) - 1), default=0, metavar="N", help="of every draw (default: 0)"
    )
    parser.add_argument("--engine", default="auto", metavar="NAME", help="engine to serve with (default: auto)")
    add_device(parser)
    add_columns(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, arguments: list[str], console: Console) -> int:
    """Gather, render, write. Raises TrainerError and ExportError; then nothing is written."""
    # Imported here because matplotlib and jinja2 are of use to this command alone.
    from kuaixun.trainer.report.job import ReportRequest, gather
    from kuaixun.trainer.report.page import render

    say = plain_lines(console)
    refuse_unwritable_file("--output", options.output)
    classifier = open_classifier(options.bundle, engine=options.engine, device=options.device)
    request = ReportRequest(
        test=options.test,
        train=options.train,
        dev=options.dev,
        analysis=options.analysis,
        baselines=tuple(options.baselines),
        teachers=tuple(options.teacher),
        runs=tuple(options.run_folders),
        scores=tuple(options.scores),
        columns=columns_of(options),
        states=options.states,
        seed=options.seed,
        command=recorded_command(arguments, options),
    )
    page = render(gather(request, name_of_bundle(options.bundle), classifier, choose_device(options.device), say))
    write_new_file(options.output, page.encode())
    say(f"report: {options.output}, {len(page.encode()) / 1e6:.1f} MB")
    return 0
