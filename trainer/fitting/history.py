"""How a training went, look by look at dev: kept beside what it made, for the report's learning curves.

A file of one JSON object a line, the fields of DevFigures; a loss that was no number is null.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec

from kuaixun.trainer.errors import DataError
from kuaixun.trainer.fitting.watching import DevFigures, Watcher

HISTORY_FILE = "history.jsonl"


class Recorder:
    """A watcher that remembers every evaluation, and passes all it is told on to another."""

    def __init__(self, watcher: Watcher) -> None:
        self.history: list[DevFigures] = []
        self._watcher = watcher

    def stepped(self, step: int, steps: int, training_loss: float) -> None:
        """Pass it on."""
        self._watcher.stepped(step, steps, training_loss)

    def evaluated(self, figures: DevFigures) -> None:
        """Remember, then pass it on: the other may end the training."""
        self.history.append(figures)
        self._watcher.evaluated(figures)


def history_to_file(history: Sequence[DevFigures]) -> bytes:
    """One JSON object a line."""
    return b"".join(msgspec.json.encode(figures) + b"\n" for figures in history)


def read_history(folder: Path) -> tuple[DevFigures, ...]:
    """The history in a folder; of one that holds none, nothing. Raises DataError with file, line and reason."""
    path = folder / HISTORY_FILE
    if not path.exists():
        return ()
    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            fields = msgspec.json.decode(line, type=dict[str, bool | int | float | None])
            numbers = {name: math.nan if value is None else value for name, value in fields.items()}
            found.append(msgspec.convert(numbers, DevFigures))
        except msgspec.DecodeError as error:
            raise DataError(f"{path}, line {number}: no figures of a training: {error}") from None
    return tuple(found)
