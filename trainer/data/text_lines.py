"""Texts without labels, one a line: what pre-training learns from and what a teacher scores for transfer.

Where every line is `text<TAB>label` the labels are ignored, so that a labelled file serves here too, row for row; of a
CSV table, told by its suffix, only the column of the texts counts. Files may be packed as .xz or .gz. A line without a
text stays, empty: row i is line i, or record i of a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kuaixun.trainer.data.csv_table import csv_cells, is_csv
from kuaixun.trainer.data.line_ends import LONE_RETURNS, has_lone_returns
from kuaixun.trainer.data.not_utf8 import mending, mending_of_wide
from kuaixun.trainer.data.packed import TOO_LARGE, read_unpacked
from kuaixun.trainer.errors import DataError


@dataclass(frozen=True, slots=True)
class TextLines:
    """A file's texts in order; `sha256` is that of the file's bytes as they lie on disk, packed or not."""

    texts: tuple[str, ...]
    source: Path
    sha256: str

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file of texts, and the share of them that counts, as a command line names it."""

    path: Path
    share: float = 1.0


def read_text_lines(path: Path, text_column: str = "text") -> TextLines:
    """Read a whole file. Raises DataError: it is missing, empty, damaged, not UTF-8 or a table without that column.

    So does one that unpacks to more than the limit of kuaixun.trainer.data.packed, or than there is memory.
    """
    try:
        content, sha256 = read_unpacked(path)
        return TextLines(_read(path, content, text_column), path, sha256)
    except MemoryError:
        raise DataError(f"{path}: {TOO_LARGE}") from None


def _read(path: Path, content: bytes, text_column: str) -> tuple[str, ...]:
    """The texts of a file without its packing. Raises DataError."""
    try:
        text = content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: not UTF-8: {error.reason}; {mending(content, error)}") from None
    if "\0" in text and (advice := mending_of_wide(content)):
        raise DataError(f"{path}, line 1: its letters are not UTF-8: {advice}")
    if has_lone_returns(text) and not is_csv(path):
        raise DataError(f"{path}, line 1: {LONE_RETURNS}")
    texts = _cells(path, text, text_column) if is_csv(path) else _texts(text) if text.strip() else ()
    if not any(one.strip() for one in texts):
        raise DataError(f"{path}: holds no texts")
    return texts


def _cells(path: Path, text: str, column: str) -> tuple[str, ...]:
    return tuple(cell for _, (cell,) in csv_cells(path, text, (column,), "choose with --text-column"))


def _texts(text: str) -> tuple[str, ...]:
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    if not all(line.count("\t") == 1 for line in lines if line):
        return tuple(lines)
    while not lines[-1]:  # rows of a labelled file end with its last text
        lines.pop()
    return tuple(line.partition("\t")[0] for line in lines)
