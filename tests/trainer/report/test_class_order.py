"""Classes stand in one order on the whole page."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kuaixun.trainer.data.analysis import analyse
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.evaluation.figures import evaluate
from kuaixun.trainer.report.class_order import analysis_in_order, class_order, figures_in_order

SORTED = tuple(sorted(f"class {number}" for number in range(12)))  # 0, 1, 10, 11, 2, …


def test_numbers_in_names_go_by_their_value() -> None:
    assert [SORTED[number] for number in class_order(SORTED)] == [f"class {number}" for number in range(12)]
    assert class_order(("1", "a", "²", "٣"))  # digits of other scripts are letters here


def test_an_order_that_somebody_chose_stays() -> None:
    assert class_order(("sports", "class 10", "class 2")) == (0, 1, 2)


def test_figures_and_the_files_follow_one_order() -> None:
    labels, order = ("c1", "c10", "c2"), (0, 2, 1)
    truth, said = np.array([0, 0, 1, 1, 1, 2]), np.array([0, 1, 1, 1, 2, -1])
    figures = figures_in_order(evaluate(truth, said, np.full(6, 0.5), labels), order)
    data = LabelledTexts(tuple(f"第 {row}" for row in range(6)), truth, labels, Path("train.txt"), "0" * 64)
    (file,) = analysis_in_order(analyse({"train": data}), labels, order).files

    assert [(one.label, one.texts) for one in figures.classes] == [("c1", 2), ("c2", 1), ("c10", 3)]
    assert figures.confusion == ((1, 0, 1, 0), (0, 0, 0, 1), (0, 1, 2, 0))
    assert [one.label for one in file.classes] == ["c1", "c2", "c10"]
