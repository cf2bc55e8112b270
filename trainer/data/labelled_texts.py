"""Labelled headlines on disk to texts and label ids: the trainer's first step.

A file is either `text<TAB>label` lines or a CSV table with a header; its suffix says which. Both are UTF-8, and may be
packed as .xz or .gz. One bad line refuses the whole file, with its name, the line and the reason: a silently skipped
line would shift a figure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kuaixun.schemas.manifest import LABEL_LIMIT_CHARACTERS, LABELS_LIMIT, LABELS_LIMIT_BYTES, DataFile
from kuaixun.trainer.data.csv_table import csv_cells, is_csv
from kuaixun.trainer.data.header_line import expect_no_header
from kuaixun.trainer.data.line_ends import LONE_RETURNS, has_lone_returns
from kuaixun.trainer.data.not_utf8 import mending, mending_of_wide
from kuaixun.trainer.data.packed import TOO_LARGE, read_unpacked
from kuaixun.trainer.errors import DataError, SettingError

SHOWN_CHARS = 40
SHOWN_LABELS = 10
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")


@dataclass(frozen=True, slots=True)
class CsvColumns:
    """The header names under which a CSV file keeps the text and the label. Raises SettingError for one name twice."""

    text: str = "text"
    label: str = "label"

    def __post_init__(self) -> None:
        if self.text == self.label:
            raise SettingError(
                f"--text-column and --label-column both name {self.text!r}; a label is no text: name the column of each"
            )


@dataclass(frozen=True, slots=True)
class LabelledTexts:
    """A file's texts in order; `label_ids` (n,) indexes `labels`; `sha256` is that of the file's bytes.

    `lines` are those of the file on which the texts end, from 1; empty for texts that were read from no file.
    """

    texts: tuple[str, ...]
    label_ids: NDArray[np.int64]
    labels: tuple[str, ...]
    source: Path
    sha256: str
    lines: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def label_counts(self) -> dict[str, int]:
        """How many texts each label has."""
        counts = np.bincount(self.label_ids, minlength=len(self.labels))
        return dict(zip(self.labels, counts.tolist(), strict=True))

    def of_rows(self, rows: NDArray[np.int64]) -> LabelledTexts:
        """These rows; source, checksum and lines are still those of the whole file."""
        kept = rows.tolist()
        return replace(
            self,
            texts=tuple(self.texts[row] for row in kept),
            label_ids=self.label_ids[rows],
            lines=tuple(self.lines[row] for row in kept) if self.lines else (),
        )

    def label_of(self, row: int) -> str:
        """The name of a row's class."""
        return self.labels[int(self.label_ids[row])]


@dataclass(frozen=True, slots=True)
class DataSplit:
    """What a training works on. All parts share the labels of `train`."""

    train: LabelledTexts
    dev: LabelledTexts
    test: LabelledTexts | None

    @property
    def parts(self) -> dict[str, LabelledTexts]:
        """The files by their role, train first; test only where there is one."""
        parts = {"train": self.train, "dev": self.dev}
        return parts if self.test is None else parts | {"test": self.test}

    @property
    def files(self) -> tuple[DataFile, ...]:
        """The files as the record of a training names them."""
        return tuple(
            DataFile(role=role, name=data.source.name, rows=len(data), sha256=data.sha256)
            for role, data in self.parts.items()
        )


def read_split(
    train: Path, dev: Path, test: Path | None = None, *, classes: Path | None = None, columns: CsvColumns | None = None
) -> DataSplit:
    """Read the files of a training. Raises DataError, also where fewer than two classes have training texts, or one
    file has two roles.
    """
    columns = columns or CsvColumns()
    labels = read_classes(classes) if classes else None
    train_texts = read_labelled_texts(train, labels=labels, labels_of=classes, columns=columns)
    expect_classes(train_texts)
    read = partial(
        read_labelled_texts,
        labels=train_texts.labels,
        labels_of=classes or train,
        order_chosen=classes is not None,
        columns=columns,
    )
    split = DataSplit(
        train=train_texts,
        dev=read(dev),
        test=read(test) if test else None,
    )
    expect_different_files({role: (data.source, data.sha256) for role, data in split.parts.items()})
    return split


def expect_different_files(parts: Mapping[str, tuple[Path, str]]) -> None:
    """Raise DataError where two roles, each with its file and the SHA-256 of the file's bytes, have one content.

    Figures on texts that were learnt from, or chosen on, flatter.
    """
    first: dict[str, str] = {}
    for role, (path, sha256) in parts.items():
        other = first.setdefault(sha256, role)
        if other == role:
            continue
        advice = f"name other texts as {role}; kuaixun-trainer split cuts one file into parts"
        if role == "test":
            advice = f"leave test out, or {advice}"
        raise DataError(
            f"{path}: {role} holds the same texts as {other}, {parts[other][0]}: figures on texts that were "
            f"{'learnt from' if other == 'train' else 'chosen on'} mean nothing; {advice}"
        )


def expect_classes(data: LabelledTexts) -> None:
    """Raise DataError where fewer than two classes have texts: nothing can be told apart."""
    if (data.label_ids == data.label_ids[0]).all():
        raise DataError(
            f"{data.source}: all {len(data)} texts are of one class, {data.label_of(0)!r}; training needs at least two"
        )


def expect_columns(path: Path, columns: CsvColumns) -> None:
    """Raise DataError, as `read_labelled_texts` would, where a table's header has not these columns."""
    if is_csv(path):
        content, _ = _read_utf8(path)
        next(_csv_rows(path, content, columns), None)


def read_classes(path: Path) -> tuple[str, ...]:
    """Class names, one a line, in the order of their ids. Raises DataError."""
    text, _ = _read_utf8(path)
    if has_lone_returns(text):
        raise _at(path, 1, LONE_RETURNS)
    names = [line.strip() for line in text.rstrip().split("\n")]
    lines: dict[str, int] = {}
    for line, name in enumerate(names, start=1):
        if not name:
            raise _at(path, line, "a class name is missing; write one name a line")
        if "\t" in name:
            raise _at(path, line, f"a tab in {_shown(name)!r}: labelled texts? Write one class name a line")
        _expect_short(path, line, name, "class name")
        if lines.setdefault(name, line) != line:
            raise _at(path, line, f"the class {name!r} already stands in line {lines[name]}")
    if len(names) < 2:
        raise DataError(f"{path}: holds one class; a classifier needs at least two")
    _expect_few(path, names)
    return tuple(names)


def read_labelled_texts(
    path: Path,
    *,
    labels: tuple[str, ...] | None = None,
    labels_of: Path | None = None,
    order_chosen: bool = True,
    columns: CsvColumns | None = None,
    of_unknown: str = "",
) -> LabelledTexts:
    """Read one file. A label is a name among `labels` or, where somebody chose their order and none of them is a
    number, an index into them.

    Where `labels` is None, they are the names found. `order_chosen` is False for names that were found in another file:
    nobody who wrote numbers meant their order.

    `labels_of` is the file that the labels come from, for the refusal of one that is not among them; it ends with
    `of_unknown`.
    Raises DataError for a file that is missing, empty or not UTF-8, and for the first line that is not a text and a
    known label, or is a table's header where the suffix tells of none.
    """
    content, sha256 = _read_utf8(path)
    rows = list(_csv_rows(path, content, columns or CsvColumns()) if is_csv(path) else _tab_rows(path, content))
    if not rows:
        raise DataError(f"{path}: holds no texts")
    if not is_csv(path) and rows[0][2] not in (labels or ()):
        expect_no_header(path, rows)
    if labels is None:
        labels = _in_order({label for _, _, label in rows})
        _expect_few(path, labels)
        order_chosen = False
    ids = {name: index for index, name in enumerate(labels)}
    if order_chosen and not _hold_numbers(labels):
        ids |= {str(index): index for index in range(len(labels))}
    label_ids = np.empty(len(rows), dtype=np.int64)
    for row, (line, text, label) in enumerate(rows):
        if not text.strip():
            raise _at(path, line, "the text is empty")
        if label not in ids:
            known = f"{_known(labels, labels_of)}{_advice(label, ids, labels, order_chosen)}"
            raise _at(path, line, f"unknown label {_shown(label)!r}; {known}{of_unknown}")
        label_ids[row] = ids[label]
    lines, texts, _ = zip(*rows, strict=True)
    return LabelledTexts(texts, label_ids, labels, path, sha256, lines)


def _tab_rows(path: Path, content: str) -> Iterator[tuple[int, str, str]]:
    """(line, text, label) of every line. Quotes are text here, and only a line feed ends a line."""
    for line, row in enumerate(content.rstrip("\r\n").split("\n") if content.strip() else (), start=1):
        cells = row.removesuffix("\r").split("\t")
        if not cells[0].strip() and len(cells) == 1:
            raise _at(path, line, "the line is empty; a line is text<TAB>label")
        if len(cells) == 1:
            raise _at(path, line, f"no tab in {_shown(row)!r}; a line is text<TAB>label")
        if len(cells) > 2 and "\r" in row:
            raise _at(path, line, LONE_RETURNS)
        if len(cells) > 2:
            raise _at(path, line, f"{len(cells)} columns; a line is text<TAB>label, with one tab")
        yield line, cells[0], _label(path, line, cells[1])


def _csv_rows(path: Path, content: str, columns: CsvColumns) -> Iterator[tuple[int, str, str]]:
    """(line, text, label) of every record after the header; a quoted text may span lines, its last one is given."""
    advice = "choose with --text-column and --label-column"
    for line, (text, label) in csv_cells(path, content, (columns.text, columns.label), advice):
        yield line, text, _label(path, line, label)


def _label(path: Path, line: int, cell: str) -> str:
    """The label in a cell. Raises DataError for one that no bundle could hold: hours before one is built."""
    label = cell.strip()
    if not label:
        raise _at(path, line, "the label is empty")
    _expect_short(path, line, label, "label")
    return label


def _expect_short(path: Path, line: int, name: str, what: str) -> None:
    """Raise DataError where the name of a class is longer than a bundle's may be."""
    if len(name) > LABEL_LIMIT_CHARACTERS:
        limit = f"a bundle's have at most {LABEL_LIMIT_CHARACTERS}"
        raise _at(path, line, f"the {what} {_shown(name)!r} has {len(name)} characters, and {limit}; shorten it")


def _expect_few(path: Path, names: Sequence[str]) -> None:
    """Raise DataError where a bundle could not hold so many classes."""
    if len(names) > LABELS_LIMIT:
        limit = f"a bundle's are at most {LABELS_LIMIT}"
    elif sum(len(name.encode()) for name in names) > LABELS_LIMIT_BYTES:
        limit = f"a bundle's have at most {LABELS_LIMIT_BYTES} bytes together"
    else:
        return
    raise DataError(
        f"{path}: the labels name {len(names)} classes, such as {_shown(names[0])!r}, and {limit}; texts in their "
        "place? Name the column of the labels, or put rare classes together"
    )


def _read_utf8(path: Path) -> tuple[str, str]:
    """A file's text, unpacked, without byte-order mark, and the SHA-256 of its bytes as they lie on disk."""
    try:
        content, sha256 = read_unpacked(path)
        if not content:
            raise DataError(f"{path}: the file is empty")
        text = content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        reason = f"byte {error.start} of the file is not UTF-8: {error.reason}; {mending(content, error)}"
        raise _at(path, line, reason) from None
    except MemoryError:
        raise DataError(f"{path}: {TOO_LARGE}") from None
    if "\0" in text and (advice := mending_of_wide(content)):
        raise _at(path, 1, f"its letters are not UTF-8: {advice}")
    return text, sha256


def _in_order(names: set[str]) -> tuple[str, ...]:
    """Names sorted; by value where all are numbers, so that 10 does not stand before 2."""
    if all(map(_is_number, names)):
        return tuple(sorted(names, key=lambda name: (Decimal(name), name)))
    return tuple(sorted(names))


def _at(path: Path, line: int, reason: str) -> DataError:
    return DataError(f"{path}, line {line}: {reason}")


def _known(labels: tuple[str, ...], source: Path | None) -> str:
    """The labels that a file may use, as many as fit a message."""
    names = [_shown(label) for label in labels[:SHOWN_LABELS]] + ["…"] * (len(labels) > SHOWN_LABELS)
    origin = f" from {source}" if source else ""
    return f"{len(labels)} are known{origin}: {', '.join(names)}"


def _advice(label: str, ids: Mapping[str, int], labels: tuple[str, ...], order_chosen: bool) -> str:
    """What else a label that is not among `ids` may be meant for: empty, or from a semicolon on."""
    if _is_number(label):
        alike = [name for name in ids if _is_number(name) and Decimal(name) == Decimal(label)]
        if alike:
            return f"; {_shown(alike[0])!r} looks like the same number, spelt otherwise: spell both files alike"
    if _hold_numbers(labels):
        return ""
    if order_chosen:
        return "; their indices from 0 are as good"
    if _is_number(label):
        return "; if it is an index, name the classes in the order of their ids with --classes FILE"
    return ""


def _hold_numbers(labels: tuple[str, ...]) -> bool:
    """Whether a class is called by a number: of stars from 1 to 5, a 0 is a slip and not the index of one star."""
    return any(_is_number(name) or name.isnumeric() for name in labels)


def _is_number(name: str) -> bool:
    """Whether a name is a number in digits; also 1.0, as tables get it whose column of whole numbers had a gap."""
    return _NUMBER.fullmatch(name) is not None


def _shown(text: str, limit_chars: int = SHOWN_CHARS) -> str:
    """A piece of a file, cut so that it fits a message."""
    return text if len(text) <= limit_chars else text[:limit_chars] + "…"
