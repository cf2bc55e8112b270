"""When a stage need not be made again: its key, the hash of all that it is made from, is the one it was made with.

The record of a finished stage holds what the key was taken of, so that a run can say what changed, and the files that
the stage left, so that one which lacks some is made again. It is written last: without it, a stage is not finished.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

RECORD_FILE = "stage.json"
STARTED_FILE = "started"
FAILED_FILE = "failed"


class Ingredients(msgspec.Struct, frozen=True, kw_only=True):
    """All that a stage is made from.

    `settings` are options by name, `files` the SHA-256 of each input file by its option, `reads` by name the key of
    each stage that it feeds on and when that was made.
    """

    settings: dict[str, str]
    files: dict[str, str]
    reads: dict[str, str]
    version: str

    def key(self) -> str:
        """The SHA-256 of it."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()

    def changed_since(self, before: Ingredients) -> str:
        """What is other than it was, in words; nothing where nothing is."""
        parts = []
        if names := _different(before.settings, self.settings):
            parts.append(f"settings changed: {', '.join(names)}")
        if names := _different(before.files, self.files):
            parts.append(f"files changed: {', '.join(names)}")
        if names := _different(before.reads, self.reads):
            parts.append(f"made again since: {', '.join(names)}")
        if before.version != self.version:
            parts.append(f"kuaixun {before.version} is now {self.version}")
        return "; ".join(parts)


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """The record of a finished stage. `outputs` maps each of its files to the size in bytes."""

    key: str
    ingredients: Ingredients
    finished_at: str
    seconds: float
    outputs: dict[str, int]

    @property
    def mark(self) -> str:
        """What a stage that reads this one depends on."""
        return f"{self.key} {self.finished_at}"


def read_finished(folder: Path) -> Finished | None:
    """The record of a stage's folder; None where the stage is not finished, or no longer whole."""
    try:
        finished = msgspec.json.decode((folder / RECORD_FILE).read_bytes(), type=Finished)
    except (OSError, msgspec.DecodeError):
        return None
    return finished if finished.outputs == outputs_of(folder) else None


def outputs_of(folder: Path) -> dict[str, int]:
    """Every file of a stage but its records, with its size in bytes."""
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (RECORD_FILE, STARTED_FILE)
    }


def _different(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [name for name in sorted({**before, **now}) if before.get(name) != now.get(name)]
