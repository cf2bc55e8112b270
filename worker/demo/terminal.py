"""The demo on a terminal: a table of what goes by, and below it the counts, the rate and the mix of labels.

Headlines pass faster than anyone reads, so the table takes a sample, in which refused ones have a fixed share.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import compress

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.rule import Rule
from rich.table import Column, Table
from rich.text import Text

from kuaixun.worker.demo.ledger import Arrival, Fate, Ledger
from kuaixun.worker.demo.screen import Stage, readable

FRAMES_PER_SECOND = 10
SECONDS_PER_ROW = 0.2
ROWS_LIMIT = 100
ONE_REFUSED_IN_ROWS = 4
WAITING_LIMIT = 4  # of each kind: what came long ago gives way to what comes now
BAR_CELLS = 8
LINES_AROUND_THE_TABLE = 7  # and one more between it and the mix of labels
LEAST_ROWS = 3
# What gives way to the headline on a narrow terminal, the one of least use first.
TIME_FROM_CELLS = 60
BAR_FROM_CELLS = 50
PALETTE = (
    "green",
    "cyan",
    "yellow",
    "magenta",
    "blue",
    "bright_red",
    "bright_cyan",
    "bright_green",
    "bright_yellow",
    "bright_magenta",
)
STYLE_OF_FATE = {Fate.DEAD_LETTERED: "bold red", Fate.TOMBSTONE: "dim"}
MIDDLE_OF_FATE = {Fate.DEAD_LETTERED: "dead letter", Fate.TOMBSTONE: "passed on"}


@dataclass(frozen=True, slots=True)
class _Row:
    at: str
    arrival: Arrival


class TerminalScreen:
    """A rich live display, redrawn by `refresh`, never by a thread of its own."""

    def __init__(self, stage: Stage, console: Console) -> None:
        self._stage = stage
        self._console = console
        self._style_of_label = {label: PALETTE[i % len(PALETTE)] for i, label in enumerate(stage.labels)}
        self._rows: deque[_Row] = deque(maxlen=ROWS_LIMIT)
        self._labelled: deque[Arrival] = deque(maxlen=WAITING_LIMIT)
        self._refused: deque[Arrival] = deque(maxlen=WAITING_LIMIT)
        self._rows_since_refused = 0
        self._next_row = self._next_frame = time.monotonic()
        self._note = ""
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._live.start()

    def note(self, text: str) -> None:
        """Show a line under the title until the first headline is back."""
        self._note = text
        self._draw(Ledger(), 0.0)

    def show(self, arrival: Arrival) -> None:
        """Let the arrival wait for a row."""
        (self._labelled if arrival.fate is Fate.LABELLED else self._refused).append(arrival)

    def refresh(self, ledger: Ledger, seconds: float) -> None:
        """Add a row when it is time for one, draw when it is time for that."""
        now = time.monotonic()
        if now >= self._next_row and (chosen := self._choose()):
            self._rows.append(_Row(datetime.now(UTC).astimezone().strftime("%H:%M:%S"), chosen))
            self._next_row = now + SECONDS_PER_ROW
        if now >= self._next_frame or ledger.arrived == self._stage.planned:
            self._draw(ledger, seconds)
            self._next_frame = now + 1 / FRAMES_PER_SECOND

    def close(self) -> None:
        """End the live display; its last frame stays."""
        self._live.stop()

    def _choose(self) -> Arrival | None:
        if self._refused and (self._rows_since_refused >= ONE_REFUSED_IN_ROWS - 1 or not self._labelled):
            self._rows_since_refused = 0
            return self._refused.popleft()
        if not self._labelled:
            return None
        self._rows_since_refused += 1
        return self._labelled.popleft()

    def _draw(self, ledger: Ledger, seconds: float) -> None:
        stage = self._stage
        title = Text.assemble(("快讯 kuaixun demo", "bold"), (f"  model {stage.model} on {stage.engine}", "dim"))
        title.truncate(self._console.width, overflow="ellipsis")
        # A line of its own: an address that is cut opens nothing.
        page = Text(f"page {stage.page}", "dim", overflow="fold")
        mix = self._mix(ledger)
        below: list[RenderableType] = [Text(), mix]
        most_rows = self._console.height - LINES_AROUND_THE_TABLE
        height = most_rows - 1 - mix.row_count
        if height < LEAST_ROWS:  # the mix gives way before the headlines do
            below, height = [], max(LEAST_ROWS, most_rows)
        above: list[RenderableType] = [title, page, Rule(style="dim"), self._table(height), Rule(style="dim")]
        self._live.update(Group(*above, self._counts(ledger), self._rate(ledger, seconds), *below), refresh=True)

    def _table(self, height: int) -> Table:
        shown = (self._console.width >= TIME_FROM_CELLS, True, self._console.width >= BAR_FROM_CELLS, True)
        columns = (
            Column("time", style="dim", no_wrap=True, width=8),
            Column("label", no_wrap=True, width=13),
            Column("confidence", no_wrap=True, width=BAR_CELLS + 5),
            Column("headline", no_wrap=True, overflow="ellipsis", ratio=1),
        )
        table = Table(*compress(columns, shown), box=None, expand=True, padding=(0, 2, 0, 0), header_style="dim")
        rows = [self._cells(row) for row in self._rows][-height:] or [("", "", "", Text(self._note, "italic"))]
        for cells in rows:
            table.add_row(*compress(cells, shown))
        for _ in range(height - len(rows)):  # what stands below the table keeps its place from the first frame on
            table.add_row()
        return table

    def _cells(self, row: _Row) -> tuple[RenderableType, ...]:
        arrival = row.arrival
        style = STYLE_OF_FATE.get(arrival.fate) or self._style_of_label.get(arrival.what, "white")
        middle = (
            _bar(arrival.confidence) if arrival.fate is Fate.LABELLED else Text(MIDDLE_OF_FATE[arrival.fate], style)
        )
        return row.at, Text(arrival.what, style), middle, Text(readable(arrival.text))

    def _counts(self, ledger: Ledger) -> Text:
        return Text.assemble(
            (f"{ledger.outcomes[Fate.LABELLED]:,}", "bold green"), " labelled   ",
            (f"{ledger.outcomes[Fate.DEAD_LETTERED]:,}", "bold red"), " dead-lettered   ",
            (f"{ledger.outcomes[Fate.TOMBSTONE]:,}", "bold"), " tombstones   ",
            (f"{ledger.outstanding:,}", "bold"), " under way   ",
            (f"{ledger.duplicated:,}", "bold"), " duplicated",
            no_wrap=True, overflow="ellipsis",
        )  # fmt: skip

    def _rate(self, ledger: Ledger, seconds: float) -> Text:
        """As much of it as there is room for."""
        rate = ledger.arrived / seconds if seconds > 0 else 0.0
        counted, speed = f"{ledger.arrived:,} of {self._stage.planned:,}", f"{rate:,.0f} a second"
        judged = ledger.judged[Fate.LABELLED]
        right = f"; {ledger.agreed[Fate.LABELLED] / judged:.0%} as their writers say" if judged else ""
        lines = (
            f"{counted} headlines, shown at {speed}, slowed to be read{right}",
            f"{counted} headlines, shown at {speed}{right}",
            f"{counted}, {speed}{right}",
            f"{counted} headlines, shown at {speed}",
            f"{counted}, {speed}",
        )
        fitting = next((line for line in lines if len(line) <= self._console.width), lines[-1])
        return Text(fitting, no_wrap=True, overflow="ellipsis")

    def _mix(self, ledger: Ledger) -> Table:
        """The labels in two columns, each with its share of the labelled headlines."""
        labels = self._stage.labels
        longest = max((len(label) for label in labels), default=0)
        most = max(ledger.labels.values(), default=0) or 1
        bar_cells = max(4, self._console.width // 2 - longest - 12)
        cells = []
        for label in labels:
            count = ledger.labels[label]
            cells.append(
                Text.assemble(
                    f"{label:<{longest}} ",
                    ("█" * round(bar_cells * count / most), self._style_of_label[label]),
                    (f" {count:,}", "dim"),
                )
            )
        half = (len(cells) + 1) // 2
        mix = Table.grid(expand=True)
        mix.add_column(ratio=1, no_wrap=True)
        mix.add_column(ratio=1, no_wrap=True)
        for left, right in zip(cells[:half], [*cells[half:], Text()], strict=False):
            mix.add_row(left, right)
        return mix


def _bar(confidence: float) -> Text:
    """A bar and a figure: `━━━━━━╌╌  74%`."""
    filled = round(BAR_CELLS * confidence)
    style = "green" if confidence >= 0.8 else "yellow" if confidence >= 0.5 else "red"
    return Text.assemble(("━" * filled, style), ("╌" * (BAR_CELLS - filled), "dim"), f" {confidence:4.0%}")
