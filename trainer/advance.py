"""How far long work is: a bar on a terminal, a line now and then where there is none. On standard error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from kuaixun.export.printable import printable

LINE_EVERY_SECONDS = 30.0

# Called with the share that is done, 0 to 1 or None where nobody knows, and a few words on how it goes.
Advance = Callable[[float | None, str], None]


# Opens the Advance of the work of that title.
Advancing = Callable[[str], AbstractContextManager[Advance]]


def in_silence(share: float | None, remark: str) -> None:
    """The Advance of work that nobody follows."""


@contextmanager
def advancing(console: Console, title: str, clock: Callable[[], float] = time.monotonic) -> Iterator[Advance]:
    """A way to tell how far the work under `title` is; call it as often as you like."""
    if not console.is_terminal:
        yield _lines(console, title, clock)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(printable(title), total=1.0)

        def advance(share: float | None, remark: str) -> None:
            total = None if share is None else 1.0
            progress.update(task, total=total, completed=share or 0.0, description=printable(f"{title}: {remark}"))

        yield advance


def _lines(console: Console, title: str, clock: Callable[[], float]) -> Advance:
    last_seconds = clock()

    def advance(share: float | None, remark: str) -> None:
        nonlocal last_seconds
        if clock() - last_seconds >= LINE_EVERY_SECONDS:
            last_seconds = clock()
            done = "" if share is None else f"{share:.0%}, "
            console.print(printable(f"{title}: {done}{remark}"), highlight=False, markup=False, soft_wrap=True)

    return advance
