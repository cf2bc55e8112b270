"""`kuaixun-trainer blend`: the scores of several teachers to those of one, their mixture."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from rich.console import Console

from kuaixun.export.command_line import path_of
from kuaixun.trainer.commands.options import add_columns, add_score, columns_of
from kuaixun.trainer.commands.progress import plain_lines
from kuaixun.trainer.commands.shown_paths import recorded_command

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_to(commands: Commands) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "blend",
        help="mix the scores of several teachers",
        description="Choose the weights of several teachers on labelled dev texts and write the scores of the mixture.",
    )
    parser.add_argument("--dev", type=path_of, required=True, metavar="FILE", help="texts to choose the weights on")
    parser.add_argument("--classes", type=path_of, metavar="FILE", help="class names, as the teachers were given them")
    parser.add_argument(
        "--member",
        type=path_of,
        action="append",
        nargs="+",
        required=True,
        metavar="SCORES",
        help="one teacher's files of scores, those of dev and of every file to blend; give it once a teacher",
    )
    add_score(parser, "the mixture's scores")
    add_columns(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, arguments: list[str], console: Console) -> int:
    """Choose, write, tell the weights. Raises TrainerError."""
    from kuaixun.trainer.scores.blending_job import blend

    blend(
        options.dev,
        options.member,
        tuple(options.score),
        classes=options.classes,
        columns=columns_of(options),
        command=recorded_command(arguments, options, files=["--score"]),
        say=plain_lines(console),
    )
    return 0
