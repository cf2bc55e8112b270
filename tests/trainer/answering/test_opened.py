"""A student's checkpoint as a teacher: `teacher --scores-only --teacher CHECKPOINT`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from numpy.typing import NDArray

from kuaixun.export import cli as export_cli
from kuaixun.export.checkpoint import WEIGHTS_FILE, read_checkpoint
from kuaixun.export.classifier import open_classifier
from kuaixun.export.errors import CheckpointError
from kuaixun.schemas.manifest import Training
from kuaixun.trainer.answering.opened import open_scorer
from kuaixun.trainer.cli import main
from kuaixun.trainer.data.text_lines import read_text_lines
from kuaixun.trainer.scores.scorer import Scorer, mean_logits
from kuaixun.trainer.scores.teacher_scores import SEEN, read_scores

SHAPE = ("--filters", "8", "--embedding-size", "8", "--ngram-bits", "8", "--epochs", "2", "--threads", "1")
TEXTS = ("股市大涨", "", "球赛今日开始", "<b>基金</b>")


def test_a_student_scores_as_its_bundle_does(
    toy_file: Callable[[str, int, int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, dev = toy_file("train.txt", 120, 1), toy_file("dev.txt", 60, 2)
    student, bundle, out = (tmp_path / name for name in ("student", "bundle", "scores"))
    assert main(["distil", "--train", str(train), "--dev", str(dev), "--output", str(student), *SHAPE]) == 0
    assert export_cli.main(["build", str(student), str(bundle)]) == 0
    unlabelled = tmp_path / "unlabelled.txt"
    unlabelled.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")

    monkeypatch.setattr("kuaixun.trainer.scores.scorer.TEXTS_AT_ONCE", 1)  # of some chunks nothing is left
    assert main(["teacher", "--scores-only", "--teacher", str(student), "--score", f"{unlabelled}={out}"]) == 0

    record = read_checkpoint(student).record
    scores = read_scores(out, read_text_lines(unlabelled).texts, record.labels)
    assert scores.folds == SEEN
    assert scores.teacher == record.training.command
    said = open_classifier(bundle, engine="torchscript").classify(TEXTS)
    found = torch.softmax(torch.from_numpy(scores.logits).double() / record.temperature, dim=1).numpy()  # (4, 2)
    filled = [0, 2, 3]
    np.testing.assert_allclose(found[filled], said.scores[filled], atol=2e-3)
    assert not scores.logits[1].any()


def test_long_scoring_tells_how_far_it_is_and_says_what_it_says_of_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def lengths(texts: Sequence[str], device: torch.device) -> NDArray[np.float32]:
        return np.array([[len(text), 1] for text in texts], dtype=np.float32)

    told: list[tuple[float | None, str]] = []
    training = Training(command="", seed=1, versions={}, data=())
    scorers = [Scorer(("a", "b"), training, lengths), Scorer(("a", "b"), training, lambda *given: 3 * lengths(*given))]
    monkeypatch.setattr("kuaixun.trainer.scores.scorer.TEXTS_AT_ONCE", 3)

    logits = mean_logits(scorers, TEXTS, torch.device("cpu"), lambda share, remark: told.append((share, remark)))

    np.testing.assert_array_equal(logits, [[2 * len(text), 2] for text in TEXTS])
    assert told == [(0.75, "3 of 4 texts"), (1.0, "4 of 4 texts")]


def test_a_damaged_student_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "checkpoint.json").write_text("{}")
    (tmp_path / "a.txt").write_text("股市大涨\n", encoding="utf-8")

    score = f"{tmp_path / 'a.txt'}={tmp_path / 'out'}"
    assert main(["teacher", "--scores-only", "--teacher", str(tmp_path / "student"), "--score", score]) == 2

    assert "checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_student_whose_tensors_do_not_fit_is_refused_by_its_folder(
    toy_file: Callable[[str, int, int], Path], tmp_path: Path
) -> None:
    train, dev = toy_file("train.txt", 60, 1), toy_file("dev.txt", 30, 2)
    student = tmp_path / "student"
    assert main(["distil", "--train", str(train), "--dev", str(dev), "--output", str(student), *SHAPE]) == 0
    state = safetensors.numpy.load_file(student / WEIGHTS_FILE)

    def refused(damaged: dict[str, NDArray[np.float32]]) -> str:
        safetensors.numpy.save_file(damaged, student / WEIGHTS_FILE)
        with pytest.raises(CheckpointError, match=f"--teacher {student}: the checkpoint") as caught:
            open_scorer(student)
        return str(caught.value)

    for name, tensor in state.items():
        others = {other: state[other] for other in state if other != name}
        if not name.endswith("scales"):  # which may be left out
            assert f"lack the tensor '{name}'" in refused(others)
        for shape in ((), (1,), (1, 1, 1, 1)):
            refused({**others, name: np.zeros(shape, dtype=tensor.dtype)})
    one_more = {f"linear.{part}": np.repeat(state[f"linear.{part}"], (1, 2), axis=0) for part in ("weight", "bias")}
    folded = {"ngrams.linear.weight": np.repeat(state["ngrams.linear.weight"], (1, 2), axis=0)}
    assert "scores 3 classes and names 2" in refused({**state, **one_more, **folded})
