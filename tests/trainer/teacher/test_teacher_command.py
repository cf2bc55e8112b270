"""`kuaixun-trainer teacher` and `blend` from end to end: files in, a teacher and its scores out."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from transformers import AutoModel

from kuaixun.trainer.cli import main
from kuaixun.trainer.data.labelled_texts import LabelledTexts, read_labelled_texts
from kuaixun.trainer.fitting.history import read_history
from kuaixun.trainer.fitting.watching import DevFigures
from kuaixun.trainer.scores import cross_fitting
from kuaixun.trainer.scores.scorer import Scorer, mean_logits
from kuaixun.trainer.scores.teacher_scores import TeacherScores, read_scores
from kuaixun.trainer.teacher import fine_tuning, fold_training, job
from kuaixun.trainer.teacher.fine_tuning import FineTuned
from kuaixun.trainer.teacher.folder import HEAD_FILE, read_teacher
from kuaixun.trainer.teacher.scoring import score, scorer_of
from kuaixun.trainer.teacher.sharding import PLUGINS

ToyFile = Callable[[str, int, int], Path]
FIT = "--epochs 3 --batch-size 16 --learning-rate 3e-3 --head-learning-rate 3e-3 --evaluate-every-steps 10"
REST = "--max-tokens 32 --device cpu --threads 1 --seed 7"


def teach(toy_file: ToyFile, encoder: Path, output: Path, *more: str) -> int:
    files = ["--train", str(toy_file("train.txt", 240, 1)), "--dev", str(toy_file("dev.txt", 60, 2))]
    where = ["--encoder", str(encoder), "--output", str(output)]
    return main(["teacher", *where, *files, *FIT.split(), *REST.split(), *more])


def scores_of(path: Path, data: LabelledTexts) -> TeacherScores:
    return read_scores(path, data.texts, data.labels)


def accuracy(scores: TeacherScores, data: LabelledTexts) -> float:
    return float((scores.logits.argmax(axis=1) == data.label_ids).mean())


def weights(folder: Path, name: str = "model") -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(folder / f"{name}.safetensors")


def test_a_teacher_learns_and_its_scores_belong_to_the_rows_of_its_files(
    toy_file: ToyFile, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    transfer = tmp_path / "transfer.txt"
    transfer.write_text("股市大涨\n\n球赛冠军\n", encoding="utf-8")
    test_file = toy_file("test.txt", 80, 3)
    out = tmp_path / "scores"
    wanted = [f"--score={test_file}={out / 'test'}", f"--score={transfer}={out / 'transfer'}"]

    assert teach(toy_file, encoder, tmp_path / "teacher", "--test", str(test_file), *wanted) == 0

    record = json.loads((tmp_path / "teacher" / "teacher.json").read_text())
    assert record["metrics"]["test"]["accuracy"] >= 0.9
    assert record["labels"] == ["finance", "sports"]
    assert [file["role"] for file in record["training"]["data"]] == ["train", "dev", "test", "encoder"]
    command = record["training"]["command"]
    assert command.startswith("kuaixun-trainer teacher --encoder encoder --output teacher --train train.txt ")
    assert "--score=test.txt=test" in command
    data = read_labelled_texts(test_file)
    scores = scores_of(out / "test", data)
    assert accuracy(scores, data) == pytest.approx(record["metrics"]["test"]["accuracy"])
    assert (scores.teacher, scores.folds) == (command, 0)
    with safetensors.safe_open(out / "transfer", framework="numpy") as file:
        assert file.get_tensor("logits")[[0, 2]].argmax(axis=1).tolist() == [0, 1]
        assert file.metadata()["rows"] == "3"
    assert "lowest loss so far" in capsys.readouterr().err
    AutoModel.from_pretrained(tmp_path / "teacher")  # an encoder for everyone


def test_what_is_saved_is_what_had_the_lowest_dev_loss(
    toy_file: ToyFile, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[DevFigures] = []
    monkeypatch.setattr("kuaixun.trainer.commands.progress.Lines.evaluated", lambda _, figures: seen.append(figures))

    # A rate at which the loss goes up and down, so that the last evaluation is not the best.
    more = ("--learning-rate", "0.3", "--evaluate-every-steps", "3", "--patience", "20")
    assert teach(toy_file, encoder, tmp_path / "teacher", *more) == 0

    best = min(seen, key=lambda figures: figures.dev_loss)
    assert best.step != seen[-1].step
    teacher = read_teacher(tmp_path / "teacher")
    assert teacher.record.best_step == best.step
    assert read_history(tmp_path / "teacher") == tuple(seen)
    data = read_labelled_texts(tmp_path / "dev.txt")
    logits = scorer_of(teacher).logits_of(data.texts, torch.device("cpu"))
    loss = torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(data.label_ids)).item()
    assert loss == pytest.approx(best.dev_loss, rel=1e-4)


def test_it_tells_how_far_the_scores_of_each_part_are(
    toy_file: ToyFile,
    encoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("kuaixun.trainer.advance.LINE_EVERY_SECONDS", 0)
    monkeypatch.setattr("kuaixun.trainer.teacher.scoring.SCORING_BATCH", 32)
    test = ("--epochs", "1", "--test", str(toy_file("test.txt", 40, 3)))

    assert teach(toy_file, encoder, tmp_path / "teacher", *test, "--int8") == 0
    told = capsys.readouterr().err
    for line in ("dev: 53%, 32 of 60", "test: 100%, 40 of 40", "dev in int8: 53%, 32 of 60"):
        assert f"scores of {line} texts" in told
    assert teach(toy_file, encoder, tmp_path / "folds", *test, "--folds", "2") == 0
    told = capsys.readouterr().err
    assert told.count("scores of dev: 53%, 32 of 60 texts") == 2  # each fold's teacher by itself
    assert "scores of test: 100%, 40 of 40 texts" in told  # both together


def test_patience_ends_a_training_that_gets_no_better(
    toy_file: ToyFile, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[DevFigures] = []
    monkeypatch.setattr("kuaixun.trainer.commands.progress.Lines.evaluated", lambda _, figures: seen.append(figures))

    more = ("--learning-rate", "1", "--head-learning-rate", "1", "--evaluate-every-steps", "2", "--patience", "2")
    assert teach(toy_file, encoder, tmp_path / "teacher", *more) == 0

    last_best = max(index for index, figures in enumerate(seen) if figures.lowest)
    assert len(seen) == last_best + 3
    assert seen[-1].step < seen[-1].steps


@pytest.mark.parametrize("layers", ["head", "layer.1.output"])
def test_frozen_layers_stay_equal_to_the_bit(toy_file: ToyFile, encoder: Path, tmp_path: Path, layers: str) -> None:
    assert teach(toy_file, encoder, tmp_path / "teacher", "--train-layers", layers) == 0

    before, after = weights(encoder), weights(tmp_path / "teacher")
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if ".layer.1.output." in name and layers != "head"}


def test_adapters_move_their_targets_alone_and_end_in_the_weights(
    toy_file: ToyFile, encoder: Path, tmp_path: Path
) -> None:
    more = ("--lora-rank", "4", "--lora-targets", "query,value", "--learning-rate", "1e-2", "--dropout", "0")
    assert teach(toy_file, encoder, tmp_path / "teacher", *more) == 0

    before, after = weights(encoder), weights(tmp_path / "teacher")
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if name.endswith(("query.weight", "value.weight"))}
    teacher = read_teacher(tmp_path / "teacher")
    data = read_labelled_texts(tmp_path / "dev.txt")
    logits = scorer_of(teacher).logits_of(data.texts, torch.device("cpu"))
    assert (logits.argmax(axis=1) == data.label_ids).mean() == pytest.approx(teacher.record.metrics["dev"]["accuracy"])


def test_out_of_fold_scores_come_from_teachers_that_never_saw_the_row(
    toy_file: ToyFile, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: list[set[str]] = []
    scored: list[tuple[int, list[str]]] = []
    fine_tune_rows = job.fine_tune_rows

    def learn(the_job: job.TeacherJob, *rest: object) -> FineTuned:
        rows: np.ndarray = rest[-1]  # type: ignore[assignment]
        learnt.append({the_job.split.train.texts[row] for row in rows.tolist()})
        return fine_tune_rows(the_job, *rest)  # type: ignore[arg-type]

    def tell(teachers: list[Scorer], texts: list[str], *rest: Any) -> np.ndarray:
        if len(teachers) == 1:
            scored.append((len(scored) + 1, list(texts)))
        return mean_logits(teachers, texts, *rest)

    monkeypatch.setattr(fold_training, "fine_tune_rows", learn)
    monkeypatch.setattr(cross_fitting, "mean_logits", tell)
    train, dev = tmp_path / "train.txt", tmp_path / "dev.txt"
    wanted = [f"--score={train}={tmp_path / 'oof'}", f"--score={dev}={tmp_path / 'mean'}"]

    assert teach(toy_file, encoder, tmp_path / "teachers", "--folds", "3", *wanted) == 0

    data = read_labelled_texts(train)
    assert [fold for fold, _ in scored] == [1, 2, 3]
    for fold, texts in scored:
        assert not learnt[fold - 1] & set(texts)
        assert learnt[fold - 1] | set(texts) == set(data.texts)
    assert sum(len(texts) for _, texts in scored) == len(data)
    out_of_fold = scores_of(tmp_path / "oof", data)
    assert out_of_fold.folds == 3
    assert accuracy(out_of_fold, data) > 0.8
    # Row by row: each is the logits of the one teacher.
    teacher = read_teacher(tmp_path / "teachers" / "fold-2")
    row = data.texts.index(scored[1][1][0])
    alone = scorer_of(teacher).logits_of([data.texts[row]], torch.device("cpu"))
    np.testing.assert_allclose(out_of_fold.logits[row], alone[0], rtol=2e-3)
    mean = scores_of(tmp_path / "mean", read_labelled_texts(dev))
    assert mean.folds == 0


def test_finished_folds_are_not_trained_again_and_never_mixed_with_other_settings(
    toy_file: ToyFile,
    encoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folds = ("--folds", "2", "--epochs", "1")
    calls = []
    real = job.fine_tune_rows

    def learn(*given: object) -> FineTuned:
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(fold_training, "fine_tune_rows", learn)
    out = tmp_path / "oof"
    scoring = f"--score={tmp_path / 'train.txt'}={out}"
    assert teach(toy_file, encoder, tmp_path / "teachers", *folds, scoring) == 130
    assert [path.name for path in (tmp_path / "teachers").iterdir()] == ["fold-1"]
    assert not out.exists()
    (tmp_path / "teachers" / ".fold-2.killed").mkdir()  # what a process that was killed while writing leaves

    assert teach(toy_file, encoder, tmp_path / "teachers", *folds, scoring) == 0
    assert len(calls) == 3
    assert "fold-1 is there already" in capsys.readouterr().err
    assert teach(toy_file, encoder, tmp_path / "teachers", *folds, "--dropout", "0.2") == 2
    assert "of other data or settings" in capsys.readouterr().err


def test_folds_of_other_labels_of_the_same_table_are_refused(
    toy_file: ToyFile, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = []
    for role in ("train", "dev"):
        rows = read_labelled_texts(toy_file(f"{role}.txt", 60, 1 if role == "train" else 2))
        labels = [rows.label_of(row) for row in range(len(rows))]
        lines = [",".join(cells) + "\n" for cells in zip(rows.texts, labels, labels[1:] + labels[:1], strict=True)]
        table = tmp_path / f"{role}.csv"
        table.write_text("".join(["text,label,corrected\n", *lines]), encoding="utf-8")
        where += [f"--{role}", str(table)]
    folds = ["--encoder", str(encoder), "--output", str(tmp_path / "teachers"), "--folds", "2", "--epochs", "1"]
    command = ["teacher", *FIT.split(), *REST.split(), *where, *folds]
    assert main(command) == 0
    capsys.readouterr()

    assert main([*command, "--label-column", "corrected"]) == 2

    assert "fold-1 is a teacher of other data or settings" in capsys.readouterr().err


def test_of_several_processes_one_scores_where_all_folds_are_finished(
    toy_file: ToyFile, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folds = ("--folds", "2", "--epochs", "1")
    assert teach(toy_file, encoder, tmp_path / "teachers", *folds) == 0
    dev, out = tmp_path / "dev.txt", tmp_path / "scores"
    only = ["teacher", "--scores-only", "--teacher", str(tmp_path / "teachers" / "fold-1"), "--device", "cpu"]

    for number in range(2):
        # The second process may come when the first is done: what lies there by then is no reason to end.
        for rank, is_there in (("1", False), ("0", True), ("1", True)):
            monkeypatch.setenv("RANK", rank)
            ours = f"--score={dev}={out}-{number}"
            done = main([*only, ours]) if number else teach(toy_file, encoder, tmp_path / "teachers", *folds, ours)
            assert done == 0
            assert Path(f"{out}-{number}").exists() is is_there


def test_a_finished_teacher_whose_weights_are_no_numbers_is_named_where_nothing_is_trained(
    toy_file: ToyFile, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "teacher"
    assert teach(toy_file, encoder, folder, "--epochs", "1") == 0
    head = {name: tensor * math.nan for name, tensor in safetensors.torch.load_file(folder / HEAD_FILE).items()}
    (folder / HEAD_FILE).write_bytes(safetensors.torch.save(head))
    capsys.readouterr()

    scoring = f"--score={tmp_path / 'dev.txt'}={tmp_path / 'out'}"
    assert main(["teacher", "--scores-only", f"--teacher={folder}", scoring, "--device=cpu"]) == 2

    told = capsys.readouterr().err
    assert f"is nan; the weights of {folder} are damaged" in " ".join(told.split())
    assert "learning rate" not in told


def test_teachers_of_folds_do_not_score_the_rows_that_they_learnt_from(
    toy_file: ToyFile, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert teach(toy_file, encoder, tmp_path / "teachers", "--folds", "2", "--epochs", "1") == 0
    teachers = [f"--teacher={tmp_path / 'teachers' / name}" for name in ("fold-1", "fold-2")]

    assert main(["teacher", "--scores-only", *teachers, f"--score={tmp_path / 'train.txt'}={tmp_path / 'out'}"]) == 2
    assert "fold-1 learnt from a part of train.txt" in capsys.readouterr().err
    dev = tmp_path / "dev.txt"
    only = ["teacher", "--scores-only", *teachers, f"--score={dev}={tmp_path / 'out'}", "--device", "cpu"]
    assert main(only) == 0
    assert len(scores_of(tmp_path / "out", read_labelled_texts(dev))) == 60


def test_weights_that_the_best_cannot_be_put_back_into_are_told(
    toy_file: ToyFile,
    encoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def renamed(self: Any) -> dict[str, torch.Tensor]:
        return {name.replace("head.0", "_wrapped.head.0"): weights for name, weights in real(self).items()}

    real = fine_tuning._Following._trained
    monkeypatch.setattr(fine_tuning._Following, "_trained", renamed)

    assert teach(toy_file, encoder, tmp_path / "teacher", "--train-layers", "head", "--epochs", "1") == 2

    told = capsys.readouterr().err
    assert "the best weights cannot be put back: kept and trained parameters differ in 4 names, such as " in told
    assert not (tmp_path / "teacher").exists()


@pytest.mark.parametrize(("variable", "plugin"), list(PLUGINS.items()))
def test_plugins_that_split_the_weights_are_refused_by_name(
    toy_file: ToyFile,
    encoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    plugin: str,
) -> None:
    monkeypatch.setenv(variable, "true")

    assert teach(toy_file, encoder, tmp_path / "teacher") == 2

    told = capsys.readouterr().err
    assert f"asks accelerate for {plugin}" in told
    assert "plain torchrun" in told


def test_an_interruption_keeps_the_best_so_far(
    toy_file: ToyFile,
    encoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(_: object, step: int, steps: int, loss: float) -> None:
        if step == 25:
            raise KeyboardInterrupt

    monkeypatch.setattr("kuaixun.trainer.commands.progress.Lines.stepped", interrupt)
    out = tmp_path / "scores"

    assert teach(toy_file, encoder, tmp_path / "teacher", f"--score={tmp_path / 'dev.txt'}={out}") == 130

    assert read_teacher(tmp_path / "teacher").record.best_step in (10, 20)
    assert "kept the best" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("stop", [25, None])
def test_an_interruption_while_the_teacher_is_measured_keeps_it_and_a_second_one_gives_it_up(
    toy_file: ToyFile, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int | None
) -> None:
    presses = [1]
    real = score

    def interrupt(_: object, step: int, steps: int, loss: float) -> None:
        if step == stop:
            raise KeyboardInterrupt

    def measure(*given: Any) -> np.ndarray:
        for _ in range(presses[0]):
            os.kill(os.getpid(), signal.SIGINT)
        return real(*given)

    monkeypatch.setattr("kuaixun.trainer.commands.progress.Lines.stepped", interrupt)
    monkeypatch.setattr("kuaixun.trainer.teacher.job.score", measure)
    scoring = f"--score={tmp_path / 'dev.txt'}={tmp_path / 'scores'}"

    assert teach(toy_file, encoder, tmp_path / "teacher", scoring) == 130
    assert "dev" in read_teacher(tmp_path / "teacher").record.metrics
    assert not (tmp_path / "scores").exists()
    presses[0] = 2
    assert teach(toy_file, encoder, tmp_path / "given-up", scoring) == 130
    assert not (tmp_path / "given-up").exists()


def test_an_interruption_while_the_teacher_of_a_fold_is_measured_keeps_the_fold(
    toy_file: ToyFile, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = score

    def measure(*given: Any) -> np.ndarray:
        os.kill(os.getpid(), signal.SIGINT)
        return real(*given)

    monkeypatch.setattr("kuaixun.trainer.teacher.job.score", measure)

    assert teach(toy_file, encoder, tmp_path / "teachers", "--folds", "2", "--epochs", "1") == 130

    assert [path.name for path in (tmp_path / "teachers").iterdir()] == ["fold-1"]


def test_an_interruption_before_any_evaluation_leaves_nothing(
    toy_file: ToyFile, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kuaixun.trainer.commands.progress.Lines.stepped", interrupt)

    assert teach(toy_file, encoder, tmp_path / "teacher") == 130
    assert not (tmp_path / "teacher").exists()


def test_a_full_disk_leaves_no_teacher_and_no_scores(
    toy_file: ToyFile, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("safetensors.torch.save", full)  # the head, after the encoder is written
    scoring = f"--score={tmp_path / 'dev.txt'}={tmp_path / 'scores'}"

    assert teach(toy_file, encoder, tmp_path / "teacher", "--epochs", "1", scoring) == 2

    assert {path.name for path in tmp_path.iterdir()} == {"encoder", "train.txt", "dev.txt"}


def test_a_teacher_whose_weights_are_cut_off_is_refused_by_name(
    toy_file: ToyFile, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert teach(toy_file, encoder, tmp_path / "teacher", "--epochs", "1") == 0
    content = (tmp_path / "teacher" / "model.safetensors").read_bytes()
    (tmp_path / "teacher" / "model.safetensors").write_bytes(content[:-5])

    assert main(["evaluate", "--teacher", str(tmp_path / "teacher"), "--data", str(tmp_path / "dev.txt")]) == 2
    said = f"--teacher {tmp_path / 'teacher'}: model.safetensors, as config.json describes it, cannot be opened: "
    assert said in capsys.readouterr().err


def test_int8_is_smaller_and_its_accuracy_is_told(
    toy_file: ToyFile, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert teach(toy_file, encoder, tmp_path / "teacher", "--int8", "--epochs", "2") == 0

    metrics = read_teacher(tmp_path / "teacher").record.metrics
    assert metrics["int8"]["int8_size_bytes"] < 0.75 * metrics["int8"]["size_bytes"]
    assert metrics["int8"]["dev_accuracy"] == pytest.approx(metrics["dev"]["accuracy"], abs=0.1)
    assert "int8, dev: accuracy" in capsys.readouterr().err


def test_torchrun_teaches_in_two_processes_and_one_of_them_writes_and_tells(
    toy_file: ToyFile, encoder: Path, tmp_path: Path
) -> None:
    train, dev = toy_file("train.txt", 240, 1), toy_file("dev.txt", 60, 2)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    files = ["--train", str(train), "--dev", str(dev), "--score", f"{train}={tmp_path / 'out-of-fold'}"]
    where = ["--encoder", str(encoder), "--output", str(tmp_path / "folds"), "--folds", "2"]
    fit = [*FIT.split(), *REST.split(), "--batch-size", "8"]
    command = [*torchrun, "-m", "kuaixun.trainer.cli", "teacher", *where, *files, *fit]

    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stderr
    # Each process took every other batch of eight of a fold's 120 rows: 8 steps an epoch, where one alone takes 15.
    assert done.stderr.count("step 24/24: ") == 2
    assert done.stderr.count("fold 2 of 2: learning from 120 rows\n") == 1
    data = read_labelled_texts(train)
    scores = scores_of(tmp_path / "out-of-fold", data)
    assert scores.folds == 2
    assert accuracy(scores, data) > 0.75
    assert sorted(path.name for path in (tmp_path / "folds").iterdir()) == ["fold-1", "fold-2"]


def test_several_teachers_are_blended_for_the_rows_that_all_have_scored(
    toy_file: ToyFile, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, dev = tmp_path / "train.txt", tmp_path / "dev.txt"
    members = []
    for name, head in (("a", "half"), ("b", "mlp")):
        files = [tmp_path / f"{name}-dev", tmp_path / f"{name}-train"]
        wanted = [f"--score={dev}={files[0]}", f"--score={train}={files[1]}"]
        assert teach(toy_file, encoder, tmp_path / name, "--head", head, *wanted) == 0
        members += ["--member", *map(str, files)]
    capsys.readouterr()

    assert main(["blend", "--dev", str(dev), *members, "--score", f"{train}={tmp_path / 'blended'}"]) == 0

    told = capsys.readouterr().err
    assert "a-dev: weight 0." in told
    assert "mixture: dev accuracy" in told
    data = read_labelled_texts(train)
    blended = scores_of(tmp_path / "blended", data)
    assert accuracy(blended, data) > 0.8
    assert blended.teacher.startswith("kuaixun-trainer blend --dev dev.txt --member a-dev a-train ")
    other = toy_file("other.txt", 10, 9)
    assert main(["blend", "--dev", str(dev), *members, "--score", f"{other}={tmp_path / 'no'}"]) == 2
    refused = capsys.readouterr().err
    assert "none of its files holds scores of other.txt" in refused
    assert "weight" not in refused  # before any is chosen
    assert "warning" not in told
    twice = ["--member", *members[1:3], "--member", *members[1:3]]
    assert main(["blend", "--dev", str(dev), *twice]) == 2
    assert "a-dev stands there twice" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (("--train-layers", "layer.11.output"), "no parameter's name holds 'layer.11.output'"),
        (("--lora-rank", "2", "--train-layers", "head"), "leave --train-layers away"),
        (("--lora-alpha", "8"), "--lora-alpha without --lora-rank"),
        (("--max-tokens", "64"), "has 32 positions; pass no more"),
        (("--encoder", "./nowhere"), "no such folder"),
        (("--learning-rate", "0"), "--learning-rate is 0.0"),
        (("--test", "nowhere.txt"), "nowhere.txt: cannot be read"),
        (("--scores-only",), "--scores-only needs --teacher"),
        (("--scores-only", "--teacher", "a", "--score=dev.txt=out"), "--encoder changes nothing with --scores-only"),
        (("--folds", "2", "--int8"), "leave it away with --folds"),
        (("--kind", "generative", "--train-layers", "head"), "has no head to train alone"),
        (("--teacher", "a"), "pass --scores-only too"),
    ],
)
def test_what_cannot_be_taught_is_refused_and_nothing_is_written(
    toy_file: ToyFile,
    encoder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    reason: str,
) -> None:
    assert teach(toy_file, encoder, tmp_path / "teacher", *more) == 2

    told = capsys.readouterr().err
    assert reason in told
    assert "Traceback" not in told
    assert not (tmp_path / "teacher").exists()


def test_scores_that_are_there_already_are_refused_before_the_training(
    toy_file: ToyFile, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "scores").write_bytes(b"mine")
    dev = toy_file("dev.txt", 60, 2)

    assert teach(toy_file, encoder, tmp_path / "teacher", f"--score={dev}={tmp_path / 'scores'}") == 2

    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "scores").read_bytes() == b"mine"


def test_the_library_is_not_imported_before_it_is_needed() -> None:
    program = "import sys, kuaixun.trainer.cli as cli; cli.build_parser(); print('transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
