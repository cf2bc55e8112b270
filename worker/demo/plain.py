"""The demo without a terminal: a line a headline, or of many a sample with every refused one; then the counts."""

from __future__ import annotations

from typing import TextIO

from rich.cells import set_cell_size

from kuaixun.worker.demo.ledger import Arrival, Fate, Ledger
from kuaixun.worker.demo.screen import Stage, readable

SHOWN_WHOLE_LIMIT = 500  # headlines; of the demo's own, more than that are a sample
LINES_LIMIT = 200  # of a sample
LABELLED_SHOWN_ONE_IN = 10
WHAT_CELLS = 13
TEXT_CHARS_LIMIT = 80


class PlainScreen:
    """Lines for a log or a pipe."""

    def __init__(self, stage: Stage, stream: TextIO) -> None:
        self._stream = stream
        self._whole = stage.by_user or stage.planned <= SHOWN_WHOLE_LIMIT
        self._one_in = 1 if self._whole else max(LABELLED_SHOWN_ONE_IN, stage.planned // LINES_LIMIT)
        self._labelled = 0
        self._lines = 0
        self.note(f"model {stage.model} on {stage.engine}, embedded broker at {stage.broker}")
        self.note(f"the worker's page, until the demo ends: {stage.page}")
        if not self._whole:
            self.note(f"showing 1 of {self._one_in} labelled headlines, and those that are refused")

    def note(self, text: str) -> None:
        """Write one line."""
        print(text, file=self._stream, flush=True)

    def show(self, arrival: Arrival) -> None:
        """Write the arrival, unless it is one of the many labelled ones in between or the limit is reached."""
        if arrival.fate is Fate.LABELLED:
            self._labelled += 1
            if (self._labelled - 1) % self._one_in:
                return
        self._lines += 1
        if not self._whole and self._lines > LINES_LIMIT:
            if self._lines == LINES_LIMIT + 1:
                self.note("… and so on")
            return
        what = set_cell_size(arrival.what, WHAT_CELLS)
        confidence = f"{arrival.confidence:6.1%}" if arrival.fate is Fate.LABELLED else "      "
        self.note(f"{arrival.fate:<13} {what} {confidence}  {readable(arrival.text)[:TEXT_CHARS_LIMIT]}")

    def refresh(self, ledger: Ledger, seconds: float) -> None:
        """Nothing: a log has no place for what is about to change."""

    def close(self) -> None:
        """Nothing to leave."""
