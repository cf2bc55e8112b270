"""A row a text: losses, extremes, and the CSV file."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss

from kuaixun.trainer.evaluation.row_figures import extremes, losses, row_figures, to_csv

TRUTH = np.array([0, 1, 1])
PREDICTED = np.array([0, 0, -1])
PROBABILITIES = np.array([[0.8, 0.2], [0.999999, 1e-6], [0.0, 0.0]])


def test_the_mean_loss_is_that_of_scikit_learn() -> None:
    chance = np.random.default_rng(0)
    probabilities = chance.dirichlet((1, 1, 1), 50)
    truth = chance.integers(0, 3, 50)

    assert losses(truth, probabilities).mean() == pytest.approx(log_loss(truth, probabilities, labels=range(3)))


def test_a_probability_that_was_rounded_to_nothing_costs_a_finite_loss() -> None:
    assert losses(np.array([0]), np.array([[0.0, 1.0]]))[0] == pytest.approx(14.5, abs=0.1)


def test_the_loss_of_a_certain_text_has_no_minus_sign() -> None:
    assert str(losses(np.array([1]), np.array([[0.0, 1.0]]))[0]) == "0.0"


def test_rows_come_in_the_order_of_the_file_and_say_where_there_is_no_label() -> None:
    rows = row_figures(TRUTH, PREDICTED, PROBABILITIES, ("财经", "体育"))

    assert [row.row for row in rows] == [0, 1, 2]
    assert [row.predicted for row in rows] == ["财经", "财经", None]
    assert to_csv(rows).decode().splitlines() == [
        "row,label,predicted,confidence,loss",
        "0,财经,财经,0.8,0.223144",
        "1,体育,财经,0.999999,13.815511",
        "2,体育,,0.0,14.508658",
    ]


def test_the_hardest_and_the_easiest_rows_bring_their_texts() -> None:
    hardest, easiest = extremes(row_figures(TRUTH, PREDICTED, PROBABILITIES, ("a", "b")), tuple("甲乙丙"), 2)

    assert [one.text for one in hardest] == ["丙", "乙"]
    assert [one.text for one in easiest] == ["甲", "乙"]
