"""Whoever is asked for many texts tells how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kuaixun.export.classifier import open_classifier
from kuaixun.schemas.manifest import Training
from kuaixun.trainer.advance import Advance
from kuaixun.trainer.answering.models import answers_of, answers_of_scores, model_of_bundle, model_of_teacher
from kuaixun.trainer.data.content_hash import sha256_of_texts
from kuaixun.trainer.data.labelled_texts import read_labelled_texts
from kuaixun.trainer.scores.measured import measure
from kuaixun.trainer.scores.scorer import Scorer
from kuaixun.trainer.scores.teacher_scores import TeacherScores, as_half, write_scores


def test_a_teacher_tells_how_far_its_answers_are(
    toy_file: Callable[[str, int, int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def logits(texts: Sequence[str], device: torch.device) -> NDArray[np.float32]:
        return np.array([[len(text), 1] for text in texts], dtype=np.float32)

    told: list[tuple[str, float | None, str]] = []

    @contextmanager
    def advancing(title: str) -> Iterator[Advance]:
        yield lambda share, remark: told.append((title, share, remark))

    data = read_labelled_texts(toy_file("test.txt", 40, 3))
    teacher = Scorer(data.labels, Training(command="", seed=1, versions={}, data=()), logits)
    monkeypatch.setattr("kuaixun.trainer.answering.opened.open_scorer", lambda folder: teacher)
    monkeypatch.setattr("kuaixun.trainer.scores.scorer.TEXTS_AT_ONCE", 30)
    (tmp_path / "empty").mkdir()
    model = model_of_teacher(tmp_path / "empty", "bert", torch.device("cpu"))

    (answers,) = answers_of([model], data, advancing)

    assert len(answers.predictions.label_ids) == 40
    assert told == [("answers of bert", 0.75, "30 of 40 texts"), ("answers of bert", 1.0, "40 of 40 texts")]


def test_a_bundle_tells_how_far_its_answers_are(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[float | None, str]] = []
    monkeypatch.setattr("kuaixun.trainer.answering.models.BATCH_TEXTS", 2)
    model = model_of_bundle("shipped", open_classifier(engine="torchscript"))

    said = model.answer(("股市大涨", "球赛今日开始", "基金"), lambda share, remark: told.append((share, remark)))

    assert len(said.label_ids) == 3
    assert told == [(2 / 3, "2 of 3 texts"), (1.0, "3 of 3 texts")]


@pytest.mark.parametrize("of_nothing", [0.0, 3.0])  # a teacher has logits for an empty text too
def test_a_text_that_cleaning_empties_has_no_label_from_a_teacher_nor_from_its_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_nothing: float
) -> None:
    (tmp_path / "test.txt").write_text("<b></b>\ta\n股市大涨\tb\n球赛\ta\n", encoding="utf-8")
    data = read_labelled_texts(tmp_path / "test.txt")
    logits = np.array([[of_nothing, 0], [0, 1], [0, 2]], dtype=np.float32)
    teacher = Scorer(data.labels, Training(command="", seed=1, versions={}, data=()), lambda *_: logits)
    monkeypatch.setattr("kuaixun.trainer.answering.opened.open_scorer", lambda folder: teacher)
    (tmp_path / "teacher").mkdir()
    scores = TeacherScores(as_half(logits), "test.txt", sha256_of_texts(data.texts), data.labels, "")
    write_scores(tmp_path / "scores", scores)

    (asked,) = answers_of([model_of_teacher(tmp_path / "teacher", "bert", torch.device("cpu"))], data)
    (read,) = answers_of_scores([tmp_path / "scores"], data)

    for said in (asked.predictions, read.predictions):
        assert said.label_ids.tolist() == [-1, 1, 1]
        assert said.confidences[0] == 0
    assert measure(logits, np.array([False, True, True]), data, data).accuracy == pytest.approx(1 / 3)
