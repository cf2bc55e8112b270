"""What the report chooses: texts to show, thresholds to set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kuaixun.export.predictions import Predictions
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.report.examples import choose_examples
from kuaixun.trainer.report.thresholds import choose_thresholds

LABELS = ("a", "b", "c", "d", "e")


def labelled(label_ids: list[int]) -> LabelledTexts:
    texts = tuple(f"text {row}" for row in range(len(label_ids)))
    return LabelledTexts(texts, np.array(label_ids), LABELS, Path("test.txt"), "0" * 64)


def said(scores: list[list[float]]) -> Predictions:
    array: NDArray[np.float64] = np.array(scores)
    answered = array.max(axis=1) > 0
    return Predictions(np.where(answered, array.argmax(axis=1), -1), array.max(axis=1), array)


RIGHT = [0.9, 0.05, 0.03, 0.01, 0.01]
WRONG = [0.05, 0.8, 0.1, 0.04, 0.01]
UNSURE = [0.4, 0.39, 0.11, 0.1, 0.0]
NOTHING = [0.0] * 5


def test_examples_are_right_wrong_and_unsure_and_never_unanswered() -> None:
    found = choose_examples(said([RIGHT, WRONG, UNSURE, NOTHING]), labelled([0, 0, 0, 0]), seed=1)

    assert {one.row for one in found.right} == {0, 2}
    assert [one.row for one in found.wrong] == [1]
    assert [one.row for one in found.unsure] == [2, 1, 0]  # the nearest two classes first


def test_an_examples_own_class_is_among_its_bars_however_unlikely() -> None:
    found = choose_examples(said([WRONG]), labelled([4]), seed=1)

    assert [(bar.label, bar.is_label) for bar in found.wrong[0].bars] == [
        ("b", False),
        ("c", False),
        ("a", False),
        ("e", True),
    ]


def test_the_seed_draws_the_examples() -> None:
    many, data = said([RIGHT] * 200), labelled([0] * 200)
    rows = [[one.row for one in choose_examples(many, data, seed).right] for seed in (1, 1, 2)]

    assert rows[0] == rows[1]
    assert rows[0] != rows[2]


def test_a_threshold_is_chosen_on_dev_and_told_on_test() -> None:
    dev = said([[0.9, 0.1, 0, 0, 0], [0.8, 0.2, 0, 0, 0], [0.7, 0.3, 0, 0, 0]])
    test = said([[0.95, 0.05, 0, 0, 0], [0.85, 0.15, 0, 0, 0], [0.75, 0.25, 0, 0, 0], NOTHING])

    found = choose_thresholds(dev, labelled([0, 0, 1]), test, labelled([0, 1, 0, 0]))

    for one in found:
        assert one.on_dev is not None
        assert one.on_test is not None
        assert (one.on_dev.threshold, one.on_dev.answered, one.on_dev.accuracy) == (0.8, 2 / 3, 1.0)
        assert (one.on_test.threshold, one.on_test.answered, one.on_test.accuracy) == (0.8, 0.5, 0.5)


def test_a_threshold_that_few_texts_reach_is_marked_with_their_number() -> None:
    for texts, few in ((19, True), (20, False)):
        dev = said([RIGHT] * texts + [UNSURE])
        found = choose_thresholds(dev, labelled([0] * texts + [1]), said([RIGHT, UNSURE]), labelled([0, 0]))

        highest = found[-1]
        assert (highest.dev_answered, highest.test_answered, highest.rests_on_few) == (texts, 1, few)


def test_an_accuracy_that_no_threshold_reaches_has_none() -> None:
    found = choose_thresholds(said([WRONG]), labelled([0]), said([RIGHT]), labelled([0]))

    assert [(one.on_dev, one.on_test) for one in found] == [(None, None)] * 4
