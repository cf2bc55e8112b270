"""What keeps a champion: fewer right rows, or one class that falls by more than the margin."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.promotion.rows import labels_with
from kuaixun.trainer.promotion.verdict import Verdict, judge

LABELS = ("a", "b", "c")
TRUTH = np.repeat([0, 1, 2], 100)


def wrong(*counts: int) -> NDArray[np.int64]:
    """Predictions of which the first so many of each class are taken for the next class."""
    predicted = TRUTH.copy()
    for label_id, count in enumerate(counts):
        predicted[label_id * 100 : label_id * 100 + count] = (label_id + 1) % 3
    return predicted


def verdict(
    champion: NDArray[np.int64], challenger: NDArray[np.int64], margin: float = 0.005, known: int = 3
) -> Verdict:
    return judge(TRUTH, champion, challenger, LABELS, known, margin=margin)


def test_the_same_figures_are_good_enough() -> None:
    assert verdict(wrong(5, 5, 5), wrong(5, 5, 5)).promoted


def test_more_right_rows_do_not_excuse_a_class_that_falls() -> None:
    found = verdict(wrong(0, 40, 0), wrong(10, 0, 0))

    assert found.challenger_accuracy > found.champion_accuracy
    assert not found.promoted
    (reason,) = found.reasons
    assert reason.startswith("the F1 of a falls by 5.26 points, more than 0.5 (95 % interval -")
    assert "chance" not in reason


def test_a_fall_within_the_margin_is_no_reason() -> None:
    assert verdict(wrong(0, 40, 0), wrong(10, 0, 0), margin=0.06).promoted


def test_a_fall_that_chance_may_explain_is_called_so() -> None:
    (reason,) = verdict(wrong(1, 30, 0), wrong(3, 0, 0)).reasons

    assert "chance alone may do that" in reason


def test_fewer_right_rows_keep_the_champion_whatever_the_margin() -> None:
    (reason,) = verdict(wrong(1, 1, 1), wrong(1, 2, 1), margin=1.0).reasons

    assert reason == "1 fewer of 300 rows are right"


def test_a_class_that_the_champion_does_not_know_is_not_held_against_the_challenger() -> None:
    champion = np.where(TRUTH == 2, 0, TRUTH)
    found = verdict(champion, TRUTH, known=2)

    assert found.promoted
    assert [one.label for one in found.classes] == ["a", "b"]
    assert (found.rows, found.champion_accuracy, found.challenger_accuracy) == (200, 1.0, 1.0)
    assert found.whole_champion_accuracy == pytest.approx(2 / 3)
    assert found.whole_challenger_accuracy == 1.0


def test_rows_of_a_new_class_do_not_make_up_for_those_of_known_ones() -> None:
    champion = np.where(TRUTH == 2, 0, TRUTH)  # all 100 rows of the new class are taken for a
    found = verdict(champion, wrong(20, 0, 0), known=2)

    assert found.whole_challenger_accuracy > found.whole_champion_accuracy
    assert not found.promoted
    assert found.reasons[0] == "20 fewer of 200 rows of classes that the champion knows are right"
    assert found.reasons[1].startswith("the F1 of a falls by 11.11 points")


def test_a_known_class_taken_for_a_new_one_is_a_loss() -> None:
    champion = np.where(TRUTH == 2, 0, TRUTH)

    assert not verdict(champion, np.where(TRUTH == 1, 2, TRUTH), known=2).promoted


def test_a_class_of_which_there_is_no_row_keeps_the_champion() -> None:
    rows = TRUTH != 2
    found = judge(TRUTH[rows], TRUTH[rows], TRUTH[rows], LABELS, 3, margin=0.005)

    assert found.reasons == ("no test row is of c, so that nobody knows whether it falls",)
    assert not found.promoted


def test_a_row_without_a_label_is_a_wrong_one() -> None:
    assert not verdict(TRUTH, np.where(TRUTH == 1, -1, TRUTH)).promoted


def test_added_labels_come_after_those_that_there_are() -> None:
    assert labels_with(("b", "a"), ["0"]) == ("b", "a", "0")
    with pytest.raises(SettingError, match="there is such a class already"):
        labels_with(("b", "a"), ["a"])
