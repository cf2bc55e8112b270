"""In which order the page shows the classes: everywhere the same one.

Classes stand as the model numbers them. Where that is the order of the alphabet, nobody chose it, and numbers in names
go by their value: class 2 before class 10.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from kuaixun.trainer.data.analysis import Analysis
from kuaixun.trainer.evaluation.figures import Evaluation


def class_order(labels: Sequence[str]) -> tuple[int, ...]:
    """The ids of the classes as they are shown.

    >>> class_order(["part 1", "part 10", "part 2"])
    (0, 2, 1)
    >>> class_order(["sports", "finance", "all else"])
    (0, 1, 2)
    """
    ids = range(len(labels))
    if list(labels) != sorted(labels):
        return tuple(ids)
    return tuple(sorted(ids, key=lambda number: _natural(labels[number])))


def figures_in_order(figures: Evaluation, order: Sequence[int]) -> Evaluation:
    """The figures with the classes so; no label stays the last column."""
    return replace(
        figures,
        classes=tuple(figures.classes[number] for number in order),
        confusion=tuple(
            (*(figures.confusion[true][said] for said in order), figures.confusion[true][-1]) for true in order
        ),
    )


def analysis_in_order(analysis: Analysis, labels: Sequence[str], order: Sequence[int]) -> Analysis:
    """The analysis with each file's classes so; one that the model does not know comes last."""
    places = {labels[number]: place for place, number in enumerate(order)}
    files = tuple(
        msgspec.structs.replace(
            file, classes=tuple(sorted(file.classes, key=lambda one: places.get(one.label, len(places))))
        )
        for file in analysis.files
    )
    return msgspec.structs.replace(analysis, files=files)


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Digits compare by value and come before letters."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(False, int(part), "") if "0" <= part[0] <= "9" else (True, 0, part) for part in parts]
