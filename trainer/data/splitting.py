"""One labelled file to parts that share no text: stratified, seeded, rows that say the same always in one part."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kuaixun.trainer.data.csv_table import is_csv
from kuaixun.trainer.data.header_line import header_refusal
from kuaixun.trainer.data.labelled_texts import CsvColumns, LabelledTexts, expect_classes
from kuaixun.trainer.data.repeats import compared, rows_by_key
from kuaixun.trainer.errors import DataError, SettingError

RATIOS = (8.0, 1.0, 1.0)
PART_NAMES = {2: ("train", "test"), 3: ("train", "dev", "test")}
FEW_TEXTS = 20


@dataclass(frozen=True, slots=True)
class ScarceClass:
    """A class with so few texts in a part that its figures there mean little."""

    part: str
    label: str
    texts: int


def split_texts(data: LabelledTexts, ratios: tuple[float, ...] = RATIOS, *, seed: int = 1) -> dict[str, LabelledTexts]:
    """Cut a file into train, dev and test (three ratios) or train and test (two); rows keep the file's order.

    Every class has in every part its share of texts to within one, but for groups of duplicates, which stay whole,
    and for classes so rare that a part would have none: each part has at least one text of each.
    Raises SettingError for other ratios; DataError where a class has fewer different texts than there are parts.
    """
    if len(ratios) not in PART_NAMES or not all(0 < ratio < float("inf") for ratio in ratios):
        raise SettingError(f"the ratios are {ratios}; give two or three numbers above 0, as in 8:1:1 or 7:3")
    expect_classes(data)
    parts = _assign(data, ratios, seed)
    return {name: data.of_rows(np.flatnonzero(parts == part)) for part, name in enumerate(PART_NAMES[len(ratios)])}


def scarce_classes(parts: dict[str, LabelledTexts]) -> list[ScarceClass]:
    """The classes of which a part has fewer than 20 texts."""
    return [
        ScarceClass(name, label, texts)
        for name, data in parts.items()
        for label, texts in zip(
            data.labels, np.bincount(data.label_ids, minlength=len(data.labels)).tolist(), strict=True
        )
        if texts < FEW_TEXTS
    ]


def folder_of(parts: dict[str, LabelledTexts], *, columns: CsvColumns | None = None) -> dict[str, bytes]:
    """The files of a split, named after the parts, in the format of the file that was cut; class.txt names the classes.

    `columns` are those of a CSV file. Raises DataError for a label that a list of classes cannot hold.
    """
    data = next(iter(parts.values()))
    for label in data.labels:
        if set(label) & set("\t\r\n"):
            raise DataError(f"{data.source}: the label {label!r} holds a tab or a line break; rename it")
    is_table = is_csv(data.source)
    suffix = ".csv" if is_table else ".txt"
    written = {
        name + suffix: _csv(part, columns or CsvColumns()) if is_table else _tab_lines(part)
        for name, part in parts.items()
    }
    return {**written, "class.txt": "".join(f"{label}\n" for label in data.labels).encode()}


def _assign(data: LabelledTexts, ratios: tuple[float, ...], seed: int) -> NDArray[np.int64]:
    """The part of each row, (n,): large groups of duplicates first, while there is room; single rows fill the rest."""
    found = list(rows_by_key(compared(data.texts).normalised).values())
    shuffled = np.random.default_rng(seed).permutation(len(found)).tolist()
    groups = sorted((found[place] for place in shuffled), key=len, reverse=True)
    label_ids = data.label_ids.tolist()
    # A group that contradicts itself counts as a text of the label that most of its rows bear.
    homes = [Counter(label_ids[row] for row in rows).most_common(1)[0][0] for rows in groups]
    waiting = np.bincount(homes, minlength=len(data.labels))  # (classes,) groups without a part
    _expect_enough(data, groups, waiting, len(ratios))
    wanted = _targets(data, ratios)  # (classes, parts) rows
    missing = wanted.copy()
    without = np.ones(missing.shape, dtype=np.bool_)  # (classes, parts) has no group yet
    parts = np.empty(len(data), dtype=np.int64)
    for home, rows in zip(homes, groups, strict=True):
        open_to = without[home] if waiting[home] <= without[home].sum() else np.ones_like(without[home])
        part = _emptiest(missing[home], wanted[home], open_to, len(rows))
        waiting[home] -= 1
        without[home, part] = False
        for row in rows:
            parts[row] = part
            missing[label_ids[row], part] -= 1
    return parts


def _emptiest(missing: NDArray[np.int64], wanted: NDArray[np.int64], open_to: NDArray[np.bool_], rows: int) -> int:
    """The part, among those that `open_to` names, that lacks the largest share of what it wants; all are (parts,).

    By shares, so that duplicates do not all end in the largest part. Where the group fits nowhere, the part that
    lacks the most rows.
    """
    fits = open_to & (missing >= rows)
    if fits.any():
        return int(np.where(fits, missing / np.maximum(wanted, 1), -np.inf).argmax())
    return int(np.where(open_to, missing, np.iinfo(np.int64).min).argmax())


def _targets(data: LabelledTexts, ratios: tuple[float, ...]) -> NDArray[np.int64]:
    """How many rows of each class each part is to have, (classes, parts): what is left by rounding down goes to the
    largest remainders.
    """
    sizes = np.bincount(data.label_ids, minlength=len(data.labels))  # (classes,)
    exact = sizes[:, None] * (np.asarray(ratios) / sum(ratios))  # (classes, parts)
    whole = np.floor(exact).astype(np.int64)
    by_remainder = (whole - exact).argsort(axis=1, kind="stable")
    for label_id, left in enumerate((sizes - whole.sum(axis=1)).tolist()):
        whole[label_id, by_remainder[label_id, :left]] += 1
    return whole


def _expect_enough(data: LabelledTexts, groups: list[list[int]], own: NDArray[np.int64], parts: int) -> None:
    """Refuse classes that cannot be in every part; a class of the list that has no text at all is left alone.

    `groups` are the rows of each different text, `own` (classes,) how many of these each class has for its own.
    """
    texts = np.bincount(data.label_ids, minlength=len(data.labels))
    for label_id, (label, found, rows) in enumerate(zip(data.labels, own.tolist(), texts.tolist(), strict=True)):
        if rows and found < parts:
            row = data.label_ids.tolist().index(label_id)
            if rows == 1 and data.lines[row : row + 1] == (1,) and not is_csv(data.source):
                raise header_refusal(data.source, label)
            bearing = [group for group in groups if (data.label_ids[group] == label_id).any()]
            if len(bearing) >= parts:
                raise DataError(_contested(data, label_id, bearing, parts))
            raise DataError(
                f"{data.source}: the class {label!r} has {len(bearing)} different texts in {rows} rows, too few for "
                f"{parts} parts; collect more of them, merge the class with another, or take its rows out"
            )


def _contested(data: LabelledTexts, label_id: int, bearing: list[list[int]], parts: int) -> str:
    """Why a class has texts enough and still too few of its own; `bearing` are the rows of those that bear its label.

    A text goes whole to one part, for the label that most of its rows bear.
    """
    others = sorted(group for group in bearing if (data.label_ids[group] != label_id).any())
    mine = next(row for row in others[0] if data.label_ids[row] == label_id)
    other = next(row for row in others[0] if data.label_ids[row] != label_id)
    return (
        f"{data.source}: of {len(bearing)} different texts of the class {data.labels[label_id]!r}, {len(others)} also "
        f"stand under other labels, as in line {data.lines[mine]} and, under {data.label_of(other)!r}, in line "
        f"{data.lines[other]}; too few are its own for {parts} parts: keep the right one of each text's labels"
    )


def _tab_lines(data: LabelledTexts) -> bytes:
    return _bytes("".join(f"{text}\t{data.label_of(row)}\n" for row, text in enumerate(data.texts)))


def _csv(data: LabelledTexts, columns: CsvColumns) -> bytes:
    written = io.StringIO(newline="")
    # Python 3.11 quotes no cell for a carriage return alone, which its own reader takes for the end of a line.
    returns = any("\r" in text for text in data.texts)
    writer = csv.writer(written, lineterminator="\n", quoting=csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL)
    writer.writerow((columns.text, columns.label))
    writer.writerows((text, data.label_of(row)) for row, text in enumerate(data.texts))
    return _bytes(written.getvalue())


def _bytes(content: str) -> bytes:
    """A text that begins with a byte-order mark keeps it: a reader takes the first one of a file away."""
    return (content if not content.startswith("\ufeff") else "\ufeff" + content).encode()
