"""Which way a student of word detectors is fitted, and what the user is told of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kuaixun.trainer.data.labelled_texts import DataSplit, LabelledTexts
from kuaixun.trainer.fitting.settings import FitSettings
from kuaixun.trainer.fitting.watching import DevFigures
from kuaixun.trainer.student import memory_plan
from kuaixun.trainer.student.distillation import DistillationJob, distil
from kuaixun.trainer.student.new_student import StudentShape

SHAPE = StudentShape(widths=(8,), filters=12, embedding_size=32, minimum_frequency=1, keyword_filters=True)


class Silent:
    def stepped(self, step: int, steps: int, training_loss: float) -> None: ...

    def evaluated(self, figures: DevFigures) -> None: ...


def told_of(output: Path, named: tuple[str, ...] = ()) -> list[str]:
    """What a training says; the classes have a word each."""
    texts = LabelledTexts(
        ("a goal today", "the bond today") * 20, np.arange(40) % 2, ("sports", "finance"), Path("made.txt"), "0" * 64
    )
    lines = list[str]()
    distil(
        DistillationJob(
            split=DataSplit(train=texts, dev=texts, test=None),
            shape=SHAPE,
            settings=FitSettings(epochs=2, batch_size=8),
            output=output,
            embeddings=None,
            device=torch.device("cpu"),
            command="distil",
            watcher=Silent(),
            say=lines.append,
            named_settings=named,
        )
    )
    return lines


def test_flags_that_have_no_part_in_the_fit_are_named(tmp_path: Path) -> None:
    named = ("epochs", "learning_rate", "label_smoothing", "seed")

    (line,) = (line for line in told_of(tmp_path / "run", named) if "penalty" in line)

    assert line.endswith("; without effect: --epochs, --learning-rate")


def test_of_flags_that_were_not_given_nothing_is_said(tmp_path: Path) -> None:
    lines = told_of(tmp_path / "run")

    assert any(line.endswith("at one penalty after another") for line in lines)
    assert any("filters: those without one are silent" in line for line in lines)
    assert not any("limit" in line for line in lines)


def test_without_room_it_goes_by_steps_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_plan, "MOST_BYTES", 0)

    lines = told_of(tmp_path / "run", ("epochs",))

    assert any("trained by steps" in line for line in lines)
    assert not any("penalty" in line for line in lines)
