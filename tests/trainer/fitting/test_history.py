"""How a training went, kept beside what it made."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from kuaixun.export.checkpoint import read_checkpoint
from kuaixun.trainer.cli import main
from kuaixun.trainer.errors import DataError
from kuaixun.trainer.fitting.history import HISTORY_FILE, Recorder, history_to_file, read_history
from kuaixun.trainer.fitting.watching import DevFigures

FIGURES = DevFigures(step=10, steps=20, training_loss=1.5, dev_loss=0.5, dev_accuracy=0.75, lowest=True)


class Interrupting:
    """A watcher that ends the training."""

    def stepped(self, step: int, steps: int, training_loss: float) -> None: ...

    def evaluated(self, figures: DevFigures) -> None:
        raise KeyboardInterrupt


def test_a_checkpoint_tells_how_its_training_went(toy_file: Callable[[str, int, int], Path], tmp_path: Path) -> None:
    files = ["--train", str(toy_file("train.txt", 160, 1)), "--dev", str(toy_file("dev.txt", 40, 2))]
    shape = "--filters 4 --embedding-size 8 --ngram-bits none --minimum-frequency 1"
    fit = "--epochs 2 --batch-size 16 --evaluate-every-steps 8 --device cpu --threads 1"

    assert main(["distil", *files, *shape.split(), *fit.split(), "--output", str(tmp_path / "run")]) == 0

    history = read_history(tmp_path / "run")
    assert [one.step for one in history] == [8, 16, 20]
    assert {one.steps for one in history} == {20}
    assert min(history, key=lambda one: one.dev_loss).lowest
    assert read_checkpoint(tmp_path / "run").record.labels == ("finance", "sports")  # it disturbs no reader


def test_losses_that_are_no_numbers_come_back_as_such(tmp_path: Path) -> None:
    lost = DevFigures(step=20, steps=20, training_loss=math.nan, dev_loss=math.nan, dev_accuracy=0.1, lowest=False)
    (tmp_path / HISTORY_FILE).write_bytes(history_to_file([FIGURES, lost]))

    first, last = read_history(tmp_path)

    assert first == FIGURES
    assert math.isnan(last.training_loss)
    assert math.isnan(last.dev_loss)
    assert (last.step, last.lowest) == (20, False)


def test_the_evaluation_at_which_a_training_is_ended_is_remembered() -> None:
    recorder = Recorder(Interrupting())

    with pytest.raises(KeyboardInterrupt):
        recorder.evaluated(FIGURES)

    assert recorder.history == [FIGURES]


def test_no_history_is_none(tmp_path: Path) -> None:
    assert read_history(tmp_path) == ()


@pytest.mark.parametrize("line", ["[]", "{", '{"step": 1}', '{"step": "one"}'])
def test_a_line_that_is_no_evaluation_is_refused_by_its_number(tmp_path: Path, line: str) -> None:
    (tmp_path / HISTORY_FILE).write_bytes(history_to_file([FIGURES]) + line.encode())

    with pytest.raises(DataError, match=f"{HISTORY_FILE}, line 2: "):
        read_history(tmp_path)
