"""The rows of a retraining: the old ones and the new ones to learn from, and test rows that are neither.

New rows speak of the same classes: a label that the champion does not know is most likely misspelt, and is taken for a
new class only where that is said. Ids keep their meaning: new classes come after those that there are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kuaixun.schemas.manifest import DataFile
from kuaixun.trainer.data.labelled_texts import CsvColumns, LabelledTexts, expect_different_files, read_labelled_texts
from kuaixun.trainer.data.repeats import compared
from kuaixun.trainer.errors import DataError, SettingError


@dataclass(frozen=True, slots=True, eq=False)
class RetrainingRows:
    """`train` are old rows and new ones; `dev`, None where nothing is chosen, and `test` leave out what stands among
    them.

    `superseded` old rows gave way to new ones that say the same under another label; `seen` test rows and `seen_dev`
    dev rows were left out.
    """

    train: LabelledTexts
    dev: LabelledTexts | None
    test: LabelledTexts
    files: tuple[DataFile, ...]
    superseded: int
    seen: int
    seen_dev: int


def labels_with(known: tuple[str, ...], added: Sequence[str]) -> tuple[str, ...]:
    """The classes of a challenger. Raises SettingError for an addition that the champion knows already."""
    for label in added:
        if label in known or added.count(label) > 1:
            raise SettingError(f"--add-label {label}: there is such a class already; leave the option out")
    return (*known, *added)


def read_rows(
    train: Path,
    new: Path,
    dev: Path | None,
    test: Path,
    *,
    labels: tuple[str, ...],
    known: int,
    champion: Path,
    columns: CsvColumns,
) -> RetrainingRows:
    """Read all files. The champion knows the first `known` of the labels.

    Raises DataError, also where new rows contradict each other, a new class has no rows, dev and test are one file, or
    nothing is left to choose or to compare on.
    """

    def read(path: Path) -> LabelledTexts:
        advice = "; correct it, or announce a class that is new with --add-label NAME"
        return read_labelled_texts(path, labels=labels, labels_of=champion, columns=columns, of_unknown=advice)

    old, fresh, on_test = read(train), read(new), read(test)
    on_dev = read(dev) if dev else None
    if on_dev:
        expect_different_files({"dev": (on_dev.source, on_dev.sha256), "test": (on_test.source, on_test.sha256)})
    files = tuple(
        DataFile(role=role, name=data.source.name, rows=len(data), sha256=data.sha256)
        for role, data in (("old rows", old), ("new rows", fresh))
    )
    _refuse_contradictions(fresh)
    kept = _not_contradicted(old, fresh)
    together = _together(old.of_rows(kept), fresh)
    counts = np.bincount(together.label_ids, minlength=len(labels))
    without = [label for label, count in zip(labels, counts.tolist(), strict=True) if not count]
    if without:
        raise DataError(f"{new}: neither it nor {train} has a row of the class {without[0]!r}; add some")
    learnt = set(compared(together.texts).normalised)
    chosen_on, measured = _unseen(on_dev, learnt, "choose") if on_dev else None, _unseen(on_test, learnt, "compare")
    if (measured.label_ids >= known).all():
        raise DataError(f"{test}: no row is of a class that the champion knows; compare on rows of these too")
    return RetrainingRows(
        together,
        chosen_on,
        measured,
        files,
        superseded=len(old) - len(kept),
        seen=len(on_test) - len(measured),
        seen_dev=len(on_dev) - len(chosen_on) if on_dev and chosen_on else 0,
    )


def _unseen(data: LabelledTexts, learnt: set[str], purpose: str) -> LabelledTexts:
    """The rows that say nothing which is learnt from. Raises DataError where there are none."""
    unseen = np.flatnonzero([text not in learnt for text in compared(data.texts).normalised])  # (unseen,)
    if not len(unseen):
        raise DataError(f"{data.source}: all {len(data)} rows stand among those to learn from; {purpose} on others")
    return data.of_rows(unseen)


def _refuse_contradictions(fresh: LabelledTexts) -> None:
    """Raise DataError where one text stands among the new rows under two labels: which of them corrects?"""
    first: dict[str, int] = {}
    for row, text in enumerate(compared(fresh.texts).normalised):
        before = first.setdefault(text, row)
        if fresh.label_ids[before] != fresh.label_ids[row]:
            raise DataError(
                f"{fresh.source}, line {fresh.lines[row]}: says the same as line {fresh.lines[before]} under another "
                f"label, {fresh.label_of(row)!r} and {fresh.label_of(before)!r}; keep the right one"
            )


def _not_contradicted(old: LabelledTexts, fresh: LabelledTexts) -> NDArray[np.int64]:
    """The old rows (kept,) that no new one contradicts: a correction counts, and not beside what it corrects."""
    said = dict(zip(compared(fresh.texts).normalised, fresh.label_ids.tolist(), strict=True))
    texts, label_ids = compared(old.texts).normalised, old.label_ids.tolist()
    return np.flatnonzero([said.get(text, label) == label for text, label in zip(texts, label_ids, strict=True)])


def _together(old: LabelledTexts, fresh: LabelledTexts) -> LabelledTexts:
    """Both as one, known by the hash of all its rows."""
    texts, label_ids = old.texts + fresh.texts, np.concatenate([old.label_ids, fresh.label_ids])
    content = "".join(f"{text}\t{label_id}\n" for text, label_id in zip(texts, label_ids.tolist(), strict=True))
    name = Path(f"{old.source.name}+{fresh.source.name}")
    return LabelledTexts(texts, label_ids, old.labels, name, hashlib.sha256(content.encode()).hexdigest())
