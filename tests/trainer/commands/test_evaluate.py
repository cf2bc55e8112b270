"""`kuaixun-trainer evaluate`: bundles and teachers on the same texts, on the terminal, as JSON and in files."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest

from kuaixun.export import cli as export_cli
from kuaixun.trainer.cli import main
from kuaixun.trainer.data.content_hash import sha256_of_texts
from kuaixun.trainer.data.labelled_texts import read_labelled_texts
from kuaixun.trainer.evaluation.measurement import Measurement
from kuaixun.trainer.evaluation.target_threshold import LEAST_TEXTS
from kuaixun.trainer.scores.teacher_scores import TeacherScores, write_scores
from tests.trainer.conftest import toy_content

SHAPE = "--filters 8 --embedding-size 12 --ngram-bits 8 --ngram-size 4 --minimum-frequency 1"
FIT = "--epochs 4 --batch-size 16 --learning-rate 0.01 --device cpu --threads 1"


@dataclass(frozen=True, slots=True)
class Toys:
    """Two bundles and a file to measure them on."""

    bundle: Path
    other: Path
    data: Path


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Toys:
    folder = tmp_path_factory.mktemp("toys")
    for name, texts, seed in (("train.txt", 160, 1), ("dev.txt", 60, 2), ("test.txt", 80, 3)):
        (folder / name).write_text(toy_content(texts, seed), encoding="utf-8")
    # The second bundle has the same classes in another order.
    (folder / "classes.txt").write_text("sports\nfinance\n", encoding="utf-8")
    files = ["--train", str(folder / "train.txt"), "--dev", str(folder / "dev.txt")]
    for name, more in (("one", []), ("other", ["--classes", str(folder / "classes.txt"), "--seed", "2"])):
        output = ["--output", str(folder / f"run-{name}")]
        assert main(["distil", *files, *SHAPE.split(), *FIT.split(), *more, *output]) == 0
        assert export_cli.main(["build", str(folder / f"run-{name}"), str(folder / name)]) == 0
    return Toys(folder / "one", folder / "other", folder / "test.txt")


def teacher(data: Path, path: Path, labels: tuple[str, ...] = ("finance", "sports")) -> Path:
    """Scores that are right about every text, but for the first."""
    texts = read_labelled_texts(data, labels=labels)
    logits = np.where(np.equal(texts.label_ids[:, None], [0, 1]), 3.0, -3.0).astype(np.float16)
    logits[0] *= -1
    write_scores(path, TeacherScores(logits, data.name, sha256_of_texts(texts.texts), labels, "nearly perfect"))
    return path


def test_json_holds_the_whole_measurement(toys: Toys, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = teacher(toys.data, tmp_path / "teacher.safetensors")
    models = ["--bundle", str(toys.bundle), "--bundle", str(toys.other), "--scores", str(scores)]
    capsys.readouterr()

    assert main(["evaluate", *models, "--data", str(toys.data), "--json", "--target-accuracy", "0.9"]) == 0

    found = msgspec.json.decode(capsys.readouterr().out, type=Measurement)
    assert (found.data, found.target_accuracy) == ("test.txt", 0.9)
    assert [model.name for model in found.models] == ["one", "other", "teacher"]
    one, other, taught = found.models
    assert one.figures.accuracy > 0.8
    assert other.figures.accuracy > 0.8  # its classes in the data's order, or it would be near 0
    assert taught.figures.accuracy == 79 / 80
    assert one.size_bytes == sum(path.stat().st_size for path in toys.bundle.iterdir())
    assert one.speed_ratio == 1
    assert other.speed_ratio is not None
    assert (taught.model_id, taught.size_bytes, taught.speed_ratio) == (None, None, None)
    assert [one.row for one in taught.suspects] == [0]
    assert taught.hardest[0].figures.row == 0
    assert taught.target is not None
    assert [(one.model, one.reference) for one in found.comparisons] == [("other", "one"), ("teacher", "one")]
    difference = taught.figures.accuracy - one.figures.accuracy
    assert found.comparisons[1].accuracy_difference == pytest.approx(difference)


def test_teachers_stand_beside_the_bundle_with_size_accuracy_and_speed(
    toys: Toys, capsys: pytest.CaptureFixture[str]
) -> None:
    taught = toys.bundle.parent / "run-one"
    other = toys.bundle.parent / "run-other"
    models = ["--bundle", str(toys.bundle), "--teacher", str(taught), "--teacher", str(other)]
    capsys.readouterr()
    assert main(["evaluate", *models, "--data", str(toys.data), "--device", "cpu", "--json"]) == 0
    found = msgspec.json.decode(capsys.readouterr().out, type=Measurement)
    bundle, teacher, second = found.models
    assert [one.name for one in found.models] == ["one", "run-one", "run-other"]
    # The student that the bundle was built from, and one with the same classes in another order.
    assert abs(teacher.figures.accuracy - bundle.figures.accuracy) < 0.03
    assert second.figures.accuracy > 0.8
    assert teacher.size_bytes == sum(path.stat().st_size for path in taught.iterdir())
    assert all(one.speed_ratio is not None for one in found.models)
    assert teacher.model_id is None


def test_teachers_alone_need_no_bundle_to_name_the_classes(toys: Toys, capsys: pytest.CaptureFixture[str]) -> None:
    taught = toys.bundle.parent / "run-one"
    assert main(["evaluate", "--teacher", str(taught), "--data", str(toys.data), "--device", "cpu"]) == 0
    assert "accuracy" in capsys.readouterr().out
    assert main(["evaluate", "--teacher", str(toys.bundle.parent / "none"), "--data", str(toys.data)]) == 2
    assert "none" in capsys.readouterr().err


def test_the_folder_holds_the_measurement_and_a_row_a_text(
    toys: Toys, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = teacher(toys.data, tmp_path / "teacher.safetensors")
    data = read_labelled_texts(toys.data)

    assert main(["evaluate", "--scores", str(scores), "--data", str(toys.data), "--output", str(tmp_path / "out")]) == 0

    assert json.loads((tmp_path / "out" / "evaluation.json").read_bytes())["models"][0]["name"] == "teacher"
    with (tmp_path / "out" / "rows.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["row"] for row in rows] == [str(number) for number in range(80)]
    assert [row["label"] for row in rows] == [data.label_of(number) for number in range(80)]
    assert rows[0]["predicted"] != rows[0]["label"]
    assert all(row["predicted"] == row["label"] for row in rows[1:])
    assert float(rows[1]["loss"]) == pytest.approx(np.log1p(np.exp(-6)), abs=1e-5)


def test_the_screen_is_short_and_details_add_the_rest(toys: Toys, capsys: pytest.CaptureFixture[str]) -> None:
    evaluation = ["evaluate", "--bundle", str(toys.bundle), "--data", str(toys.data), "--target-accuracy", "0.8"]
    capsys.readouterr()

    assert main(evaluation) == 0
    short = capsys.readouterr().out
    assert main([*evaluation, "--details"]) == 0
    full = capsys.readouterr().out

    assert len(short.splitlines()) <= 24
    assert "weighted mean" in short
    assert "KUAIXUN_CONFIDENCE_THRESHOLD=" in short
    for part in ("true \\ predicted", "mean confidence", "threshold", "highest loss", "lowest loss", "suspect"):
        assert part in full
        assert part not in short


def test_a_threshold_is_chosen_on_dev_and_told_of_the_data_too(
    toys: Toys, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dev, scores = toys.data.with_name("dev.txt"), teacher(toys.data, tmp_path / "teacher.safetensors")
    evaluation = ["evaluate", "--bundle", str(toys.bundle), "--target-accuracy", "0.97"]
    capsys.readouterr()

    assert main([*evaluation, "--data", str(dev), "--json"]) == 0
    alone = msgspec.json.decode(capsys.readouterr().out, type=Measurement).models[0].target
    on_both = [*evaluation, "--scores", str(scores), "--data", str(toys.data), "--dev", str(dev)]
    assert main([*on_both, "--json"]) == 0
    found = msgspec.json.decode(capsys.readouterr().out, type=Measurement)
    assert main(on_both) == 0
    shown = capsys.readouterr().out

    model, taught = found.models
    assert found.dev == "dev.txt"
    assert alone is not None
    assert model.target_on_dev == alone
    assert model.target is not None
    assert model.target.threshold == alone.threshold
    assert not model.target_rests_on_few
    assert model.target != alone  # its share and accuracy are those of test.txt
    assert (taught.target, taught.target_on_dev) == (None, None)
    assert f"KUAIXUN_CONFIDENCE_THRESHOLD={alone.threshold}, chosen on dev.txt, answers " in shown
    assert f"; it answers {100 * model.target.answered:.1f} % of test.txt, " in shown
    assert "teacher: scores of test.txt alone choose no threshold on dev.txt" in shown


@pytest.mark.parametrize("on_dev", [False, True])
def test_a_threshold_that_rests_on_few_texts_is_not_named(
    toys: Toys, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, on_dev: bool
) -> None:
    few = tmp_path / "few.txt"
    few.write_text("".join(toys.data.read_text(encoding="utf-8").splitlines(keepends=True)[: LEAST_TEXTS - 1]), "utf-8")
    files = ["--data", str(toys.data), "--dev", str(few)] if on_dev else ["--data", str(few)]
    evaluation = ["evaluate", "--bundle", str(toys.bundle), "--target-accuracy", "0.5", *files]
    capsys.readouterr()

    assert main(evaluation) == 0
    shown = capsys.readouterr().out
    assert main([*evaluation, "--json"]) == 0
    (model,) = msgspec.json.decode(capsys.readouterr().out, type=Measurement).models

    assert "KUAIXUN_CONFIDENCE_THRESHOLD" not in shown
    assert "an accuracy of 0.5 is reached by 19 texts of few.txt, too few: fewer than 20" in shown
    assert (model.target_rests_on_few, model.target_chosen_by) == (True, 19)


@pytest.mark.parametrize(
    ("dev", "more", "reason"),
    [
        ("dev.txt", [], "--dev changes nothing without --target-accuracy"),
        ("test.txt", ["--target-accuracy=0.9"], "data holds the same texts as dev, "),
    ],
)
def test_a_dev_that_chooses_nothing_or_is_the_data_is_refused(
    toys: Toys, capsys: pytest.CaptureFixture[str], dev: str, more: list[str], reason: str
) -> None:
    files = ["--data", str(toys.data), "--dev", str(toys.data.with_name(dev))]
    capsys.readouterr()

    assert main(["evaluate", "--bundle", str(toys.bundle), *files, *more]) == 2

    assert reason in capsys.readouterr().err


def test_several_models_are_shown_in_one_table_with_their_differences(
    toys: Toys, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = teacher(toys.data, tmp_path / "teacher.safetensors")
    models = ["--bundle", str(toys.bundle), "--bundle", str(toys.bundle), "--scores", str(scores)]
    capsys.readouterr()

    assert main(["evaluate", *models, "--data", str(toys.data)]) == 0

    shown = capsys.readouterr().out
    assert "× 1.00" in shown
    assert "teacher against one" in shown
    assert "accuracy +0.00 (+0.00 to +0.00)" in shown  # the bundle against itself
    assert "weighted mean" not in shown


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ([], "nothing to measure"),
        (["--scores", "nowhere.safetensors"], "nowhere.safetensors: "),
    ],
)
def test_nothing_to_measure_is_refused(
    toys: Toys, capsys: pytest.CaptureFixture[str], more: list[str], reason: str
) -> None:
    capsys.readouterr()

    assert main(["evaluate", "--data", str(toys.data), *more]) == 2

    assert reason in capsys.readouterr().err


def test_a_teachers_classes_in_another_order_are_told_by_a_file(toys: Toys, tmp_path: Path) -> None:
    scores = teacher(toys.data, tmp_path / "teacher.safetensors", labels=("sports", "finance"))
    classes = toys.data.with_name("classes.txt")
    evaluation = ["evaluate", "--scores", str(scores), "--data", str(toys.data)]

    assert main(evaluation) == 2
    assert main([*evaluation, "--classes", str(classes)]) == 0


def test_indices_mean_the_classes_of_the_file_that_names_them_or_of_all_models_alike(
    toys: Toys, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    indices = tmp_path / "indices.txt"
    named = toys.data.read_text(encoding="utf-8")
    indices.write_text(named.replace("\tsports", "\t0").replace("\tfinance", "\t1"), encoding="utf-8")
    one, other = ["--bundle", str(toys.bundle)], ["--bundle", str(toys.other)]
    capsys.readouterr()

    accuracies = []
    for more in ([*one, "--classes", str(toys.data.parent / "classes.txt")], other):
        assert main(["evaluate", *more, "--data", str(indices), "--json"]) == 0
        found = msgspec.json.decode(capsys.readouterr().out, type=Measurement)
        accuracies.append(found.models[0].figures.accuracy)
    assert min(accuracies) > 0.8

    assert main(["evaluate", *one, *other, "--data", str(indices), "--json"]) == 2
    assert "line 1: unknown label" in (said := capsys.readouterr().err)
    assert "with --classes FILE" in said


def test_a_model_of_other_classes_is_refused_by_name(
    toys: Toys, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()

    assert main(["evaluate", "--bundle", str(toys.bundle), "--default", "--data", str(toys.data)]) == 2

    assert "one tells 2 classes apart (finance, sports), the data 10" in capsys.readouterr().err


def test_an_output_that_holds_something_is_refused_before_measuring(
    toys: Toys, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept.txt").write_text("kept")
    models = ["--bundle", str(toys.bundle), "--output", str(tmp_path / "out")]
    capsys.readouterr()

    assert main(["evaluate", *models, "--data", str(toys.data)]) == 2

    assert "exists already" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["kept.txt"]


def test_labels_and_texts_of_strangers_steer_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels, data = ("fin\x1b[2Jance", "sports\u202e"), tmp_path / "a.txt"
    data.write_text("".join(f"股市{row}\x1b]0;title\x07\t{labels[row % 2]}\n" for row in range(8)), encoding="utf-8")
    scores, texts = teacher(data, tmp_path / "teacher.safetensors", labels), ["--data", str(data)]

    assert main(["evaluate", "--scores", str(scores), "--details", *texts]) == 0
    assert main(["analyse", *texts]) == 0

    shown = capsys.readouterr()
    assert not [character for character in shown.out + shown.err if character in "\x1b\x07\u202e"]
    assert r"fin\x1b[2Jance" in shown.out
    assert r"sports\u202e" in shown.out
