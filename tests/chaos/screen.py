"""What is seen of the chaos while it lasts and once it is over."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.chaos.schedule import Kind
from tests.chaos.strike import Strike
from tests.chaos.verdict import PROMISES, PROOFS, Totals
from tests.chaos.windows import DISORDERLY

LINE_EVERY_SECONDS = 30.0


class Screen:
    """A bar on a terminal, a line once in a while where there is none, and a line for each fault on both."""

    def __init__(self, console: Console, title: str, inputs: int) -> None:
        self._console, self._title, self._inputs = console, title, inputs
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task(title, total=inputs)
        self._line_at, self._started = 0.0, time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def struck(self, after_inputs: int, what: str) -> None:
        """See run.Progress."""
        self._console.print(f"{self._title}: {self._seconds()} s, after {after_inputs:,} inputs: {what}")

    def advanced(self, sent: int, answered: int) -> None:
        """See run.Progress."""
        self._bar.update(self._task, completed=answered)
        if self._bar.disable and time.monotonic() >= self._line_at:
            self._line_at = time.monotonic() + LINE_EVERY_SECONDS
            self._console.print(
                f"{self._title}: {self._seconds()} s, {sent:,} of {self._inputs:,} sent, {answered:,} have an outcome"
            )

    def _seconds(self) -> str:
        return f"{time.monotonic() - self._started:.0f}"


def table(found: Mapping[str, Totals]) -> Table:
    """The figures of each guarantee side by side, with those marked that break a promise or leave it unproven."""
    shown = Table("", *found)
    for figure in next(iter(found.values())):
        cells = []
        for guarantee, totals in found.items():
            broken = figure in (*PROMISES[guarantee], *PROOFS[guarantee]) and totals[figure]
            cells.append(f"[bold red]{totals[figure]:,}[/]" if broken else f"{totals[figure]:,}")
        shown.add_row(figure.replace("_", " "), *cells)
    return shown


def faults_table(found: Mapping[str, Sequence[Strike]]) -> Table:
    """By kind of fault, under each guarantee: how many took effect, and how many duplicates they explain."""
    shown = Table("fault", *(f"{guarantee}: {figure}" for guarantee in found for figure in ("struck", "repeats")))
    for kind in Kind:
        cells = []
        for strikes in found.values():
            these = [strike for strike in strikes if strike.fault.kind is kind]
            repeats = sum(strike.window.repeats for strike in these if strike.window is not None)
            cells += [f"{sum(strike.took_effect() for strike in these)}", f"{repeats:,}" if kind in DISORDERLY else "-"]
        shown.add_row(kind, *cells)
    return shown
