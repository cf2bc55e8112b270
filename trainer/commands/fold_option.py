"""`--folds K`: out-of-fold scores, of `teacher` and of `network`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kuaixun.export.command_line import INTERRUPTED_EXIT_CODE
from kuaixun.trainer.commands.options import Options
from kuaixun.trainer.commands.values import whole_number

if TYPE_CHECKING:
    from kuaixun.trainer.scores.cross_fitting import CrossFitting
    from kuaixun.trainer.scores.requests import FileToScore

GOING_ON = "repeat the command to go on after the folds that are finished"


def add_folds(options: Options) -> None:
    """How many folds, if any."""
    options.add_argument(
        "--folds",
        type=whole_number(2, 100),
        metavar="K",
        help="train K times, on all folds of train but one each, for out-of-fold scores of train",
    )


def fit_folds(job: CrossFitting, files: Sequence[FileToScore], say: Callable[[str], None]) -> int:
    """Train what is missing and score the files; tell of an interruption, whenever it comes. Returns the exit code."""
    from kuaixun.trainer.scores.cross_fitting import cross_fit

    try:
        done = cross_fit(job, files)
    except KeyboardInterrupt:
        say(f"interrupted: {GOING_ON}")
        return INTERRUPTED_EXIT_CODE
    if done is None or not done.interrupted:
        return 0
    say(f"interrupted after {done.steps_done} of {done.steps} steps: {GOING_ON}; no file is scored")
    return INTERRUPTED_EXIT_CODE
