"""Folds: every class in each, one text in one fold, every row scored once by the right teacher."""

from __future__ import annotations

import numpy as np
import pytest

from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.scores.folds import fold_of_rows, out_of_fold

TEXTS = [f"第{number}条" for number in range(90)]
LABELS = np.array([number % 3 for number in range(90)])


def test_every_fold_holds_its_share_of_every_class() -> None:
    fold = fold_of_rows(TEXTS, LABELS, 5, seed=1)

    for label in range(3):
        assert np.bincount(fold[label == LABELS], minlength=5).tolist() == [6] * 5


@pytest.mark.parametrize("said_again", [" 第{}条\u200b", "“第{}条”！"])
def test_rows_that_say_the_same_stand_in_one_fold_as_they_stand_in_one_part(said_again: str) -> None:
    texts = [*TEXTS, *(said_again.format(number) for number in range(90))]

    fold = fold_of_rows(texts, np.concatenate([LABELS, (LABELS + 1) % 3]), 5, seed=1)

    assert fold[:90].tolist() == fold[90:].tolist()


def test_folds_follow_from_the_seed() -> None:
    one, same, other = (fold_of_rows(TEXTS, LABELS, 5, seed).tolist() for seed in (1, 1, 2))

    assert one == same != other


def test_more_folds_than_texts_are_refused() -> None:
    with pytest.raises(SettingError, match="2 different texts"):
        fold_of_rows(["a", "b", "a"], np.array([0, 1, 0]), 3, seed=1)


def test_each_row_is_scored_once_by_the_teacher_of_its_fold() -> None:
    fold = np.array([0, 1, 0, 2, 1])
    asked: list[tuple[int, list[int]]] = []

    def score(number: int, rows: np.ndarray) -> np.ndarray:
        asked.append((number, rows.tolist()))
        return np.stack([rows, np.full(len(rows), number)], axis=1).astype(np.float32)

    logits = out_of_fold(fold, 2, score)

    assert asked == [(0, [0, 2]), (1, [1, 4]), (2, [3])]
    assert logits.tolist() == [[0, 0], [1, 1], [2, 0], [3, 2], [4, 1]]
