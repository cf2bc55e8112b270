"""`kuaixun-trainer distil` with teachers' scores, a transfer set and a configuration of one's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kuaixun.export.checkpoint import read_checkpoint
from kuaixun.trainer.cli import main
from kuaixun.trainer.data.content_hash import sha256_of_texts
from kuaixun.trainer.data.labelled_texts import read_labelled_texts
from kuaixun.trainer.data.text_lines import read_text_lines
from kuaixun.trainer.scores.teacher_scores import TeacherScores, write_scores

ToyFile = Callable[[str, int, int], Path]
LABELS = ("finance", "sports")
CONFIGURATION = """
[student]
filters = 8
embedding_size = 12
minimum_frequency = 1
[student.ngrams]
bucket_bits = 8
size = 4
[training]
epochs = 2
batch_size = 16
learning_rate = 0.01
evaluate_every_steps = 10
"""


def scores_of(data: Path, rows: int, name: str) -> Path:
    """Scores that say finance of every text."""
    path = data.with_name(name)
    logits = np.tile(np.array([4.0, -4.0], dtype=np.float16), (rows, 1))
    texts_sha256 = sha256_of_texts(read_text_lines(data).texts)
    write_scores(path, TeacherScores(logits, data.name, texts_sha256, LABELS, "one-sided", folds=5))
    return path


@pytest.fixture
def files(toy_file: ToyFile, tmp_path: Path) -> list[str]:
    """The options of a small training."""
    (tmp_path / "small.toml").write_text(CONFIGURATION, encoding="utf-8")
    train, dev = toy_file("train.txt", 120, 1), toy_file("dev.txt", 60, 2)
    places = ["--train", str(train), "--dev", str(dev), "--output", str(tmp_path / "run")]
    return ["distil", *places, "--configuration", str(tmp_path / "small.toml"), "--device", "cpu", "--threads", "1"]


def test_teachers_a_transfer_set_and_the_configuration_stand_in_the_record(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    transfer = tmp_path / "more.txt"
    transfer.write_text("股市球赛\n" * 40, encoding="utf-8")
    one = scores_of(tmp_path / "train.txt", 120, "one.safetensors")
    other = scores_of(tmp_path / "train.txt", 120, "other.safetensors")
    more = scores_of(transfer, 40, "more.safetensors")
    teachers = ["--teacher-scores", f"{one}:3", "--teacher-scores", str(other)]
    taught = [*teachers, "--transfer", str(transfer), "--transfer-scores", str(more), "--transfer-rows", "20"]

    assert main([*files, *taught, "--filters", "9", "--final-temperature", "1"]) == 0

    told = capsys.readouterr().err
    assert "learning from 120 labels and 2 teachers" in told
    assert "teacher one-sided: 120 texts of train.txt, 5 folds, weight 0.750" in told
    assert "step 18/18" in told  # (120 + 20) / 16 steps in each of two epochs
    record = read_checkpoint(tmp_path / "run").record
    assert record.architecture.filters == 9
    assert record.architecture.embedding_size == 12
    assert [(file.role, file.name, file.rows) for file in record.training.data] == [
        ("train", "train.txt", 120),
        ("dev", "dev.txt", 60),
        ("teacher scores", "one.safetensors", 120),
        ("teacher scores", "other.safetensors", 120),
        ("transfer", "more.txt", 40),
        ("transfer scores", "more.safetensors", 40),
        ("configuration", "small.toml", len(CONFIGURATION.splitlines())),
    ]
    assert "--teacher-scores one.safetensors:3" in record.training.command
    assert "--configuration small.toml" in record.training.command
    assert str(tmp_path) not in record.training.command


def test_a_student_that_hears_its_teacher_alone_says_what_it_says(files: list[str], tmp_path: Path) -> None:
    one = scores_of(tmp_path / "train.txt", 120, "one.safetensors")

    assert main([*files, "--teacher-scores", str(one), "--alpha", "1", "--epochs", "4"]) == 0

    recall = read_checkpoint(tmp_path / "run").record.metrics["dev"]["macro_recall"]
    assert recall == 0.5  # all of one class, none of the other


def test_a_transfer_set_may_be_all_that_is_taught(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    transfer = tmp_path / "more.txt"
    transfer.write_text("股市球赛\n" * 40, encoding="utf-8")
    more = scores_of(transfer, 40, "more.safetensors")

    assert main([*files, "--transfer", str(transfer), "--transfer-scores", str(more), "--alpha", "0.5"]) == 0

    assert "learning from 120 labels and 1 teacher," in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--alpha", "0.5"], "--alpha changes nothing without --teacher-scores or --transfer-scores"),
        (["--transfer-rows", "5"], "--transfer-rows changes nothing without --transfer"),
        (["--no-count-transfer-ngrams"], "--count-transfer-ngrams changes nothing without --transfer"),
        (["--teacher-scores", "nowhere.safetensors"], "nowhere.safetensors: "),
        (["--configuration", "publisht"], "name a TOML file or one of default, distilled, published-1024"),
        (["--ngram-bits", "none", "--ngram-size", "3"], "--ngram-size: this student has no n-grams"),
    ],
)
def test_what_is_not_heard_or_not_there_is_refused_before_training(
    files: list[str], capsys: pytest.CaptureFixture[str], more: list[str], reason: str
) -> None:
    assert main([*files, *more]) == 2

    told = capsys.readouterr().err
    assert reason in told
    assert "step" not in told


def test_scores_of_another_file_are_refused_before_training(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = scores_of(tmp_path / "dev.txt", 60, "wrong.safetensors")

    assert main([*files, "--teacher-scores", str(wrong)]) == 2

    told = capsys.readouterr().err
    assert "wrong.safetensors: holds scores of 60 rows of dev.txt" in told
    assert not (tmp_path / "run").exists()


def test_scores_of_one_column_are_refused_for_another_of_the_same_table(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = read_labelled_texts(tmp_path / "train.txt")
    table = tmp_path / "train.csv"
    lines = [f"{text},{text[::-1]}尾,{rows.label_of(row)}\n" for row, text in enumerate(rows.texts)]
    table.write_text("".join(["title,summary,label\n", *lines]), encoding="utf-8")
    titles = tmp_path / "titles.safetensors"
    titles_sha256 = sha256_of_texts(rows.texts)
    write_scores(titles, TeacherScores(np.zeros((120, 2), np.float16), table.name, titles_sha256, LABELS, "of titles"))
    files[files.index("--train") + 1] = str(table)
    (tmp_path / "dev.csv").write_text("".join(["title,summary,label\n", *lines[:60]]), encoding="utf-8")
    files[files.index("--dev") + 1] = str(tmp_path / "dev.csv")

    assert main([*files, "--teacher-scores", str(titles), "--text-column", "summary"]) == 2

    assert "120 others" in (told := capsys.readouterr().err)
    assert told.endswith("score the data at hand, by the same --text-column\n")
    assert main([*files, "--teacher-scores", str(titles), "--text-column", "title"]) == 0


def test_a_transfer_set_that_no_teacher_is_heard_on_is_refused(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    transfer = tmp_path / "more.txt"
    transfer.write_text("股市球赛\n", encoding="utf-8")
    one = scores_of(tmp_path / "train.txt", 120, "one.safetensors")
    more = scores_of(transfer, 1, "more.safetensors")
    taught = ["--teacher-scores", str(one), "--transfer", str(transfer), "--transfer-scores", str(more)]

    assert main([*files, *taught, "--alpha", "0"]) == 2

    assert "nothing is learnt from the --transfer texts" in capsys.readouterr().err
