"""`--folds K`: out-of-fold scores, of `teacher` and of `network`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kuaixun.export.command_line import INTERRUPTED_EXIT_CODE
from kuaixun.trainer.commands.options import Options
from kuaixun.trainer.commands.values import whole_number

if TYPE_CHECKING:
    from kuaixun.trainer.teacher.cross_fitting import FoldEnd


def add_folds(options: Options) -> None:
    """How many folds, if any."""
    options.add_argument(
        "--folds",
        type=whole_number(2, 100),
        metavar="K",
        help="train K times, on all folds of train but one each, for out-of-fold scores of train",
    )


def conclude_folds(done: FoldEnd | None, say: Callable[[str], None]) -> int:
    """Tell of an interruption; the exit code."""
    if done is None or not done.interrupted:
        return 0
    say(
        f"interrupted after {done.steps_done} of {done.steps} steps: repeat the command to go on after the folds that "
        "are finished; no file is scored"
    )
    return INTERRUPTED_EXIT_CODE
