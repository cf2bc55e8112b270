"""What a training shows: a bar on a terminal, plain lines where there is none. All on standard error."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from kuaixun.export.printable import printable
from kuaixun.trainer.advance import LINE_EVERY_SECONDS
from kuaixun.trainer.fitting.watching import DevFigures, Watcher


def plain_lines(console: Console) -> Callable[[str], None]:
    """What a command says beside its bar: one line at a time, as it stands."""

    def say(line: str) -> None:
        console.print(printable(line), highlight=False, markup=False, soft_wrap=True)

    return say


@contextmanager
def watching(console: Console) -> Iterator[Watcher]:
    """A watcher for one training."""
    if not console.is_terminal:
        yield Lines(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        yield Bar(progress, progress.add_task("training", total=None))


class Lines:
    """One line an evaluation, and one now and then where evaluations are far apart."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._last_seconds = clock()

    def stepped(self, step: int, steps: int, training_loss: float) -> None:
        """A line if none was said for a while; a line a step would drown the others."""
        if self._clock() - self._last_seconds >= LINE_EVERY_SECONDS:
            loss = "" if math.isnan(training_loss) else f": training loss {training_loss:.4f}"  # none is known yet
            self._say(f"step {step}/{steps}{loss}")

    def evaluated(self, figures: DevFigures) -> None:
        """One line."""
        self._say(line_of(figures))

    def _say(self, line: str) -> None:
        self._last_seconds = self._clock()
        self._console.print(line, soft_wrap=True, highlight=False)


class Bar:
    """A bar that moves with the steps, and the evaluations as lines above it."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def stepped(self, step: int, steps: int, training_loss: float) -> None:
        """Move the bar."""
        self._progress.update(
            self._task, completed=step, total=steps, description=f"training, loss {training_loss:.4f}"
        )

    def evaluated(self, figures: DevFigures) -> None:
        """Print a line; the bar stays below it."""
        self._progress.console.print(line_of(figures), highlight=False)


def line_of(figures: DevFigures) -> str:
    """An evaluation in words, the same line everywhere."""
    remark = ", lowest loss so far" if figures.lowest else ", lower by too little to count" * figures.hardly_lower
    return (
        f"step {figures.step}/{figures.steps}: training loss {figures.training_loss:.4f}, dev loss "
        f"{figures.dev_loss:.4f}, dev accuracy {figures.dev_accuracy:.4f}{remark}"
    )
