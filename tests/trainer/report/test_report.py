"""`kuaixun-trainer report`: one file that holds everything, believes nobody, and says what it lacks."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from kuaixun.export import cli as export_cli
from kuaixun.trainer.baselines.measured import Baselines
from kuaixun.trainer.cli import main
from kuaixun.trainer.evaluation.measurement import Measurement
from kuaixun.trainer.report.page import percent
from tests.trainer.report.conftest import CHINESE, FIT, HEADLINE, MARKUP, SHAPE, Page, Trained, write_teacher

SECTIONS = ["data", "models", "training", "quality", "texts", "made"]


def test_the_page_loads_nothing_and_runs_nothing(full_page: str) -> None:
    page = Page(full_page)

    assert {"script", "link", "iframe", "object", "embed", "base"}.isdisjoint(tag for tag, _ in page.tags)
    for _, attributes in page.tags:
        assert not [name for name in attributes if name == "src" or name.startswith("on")]
        for name in ("href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
    style = "".join(re.findall(r"<style>(.*?)</style>", full_page, re.DOTALL))
    assert "@import" not in style
    assert "url(" not in style
    outside = set(re.findall(r'https?://[^\s"<]+', full_page))
    assert outside == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}  # names, never fetched


def test_every_fragment_that_is_pointed_to_stands_on_the_page_once(full_page: str) -> None:
    ids = [attributes["id"] for _, attributes in Page(full_page).tags if "id" in attributes]
    pointed_to = set(re.findall(r'href="#([^"]+)"', full_page)) | set(re.findall(r"url\(#([^)]+)\)", full_page))

    assert len(set(ids)) == len(ids)
    assert pointed_to <= set(ids)


def test_texts_and_labels_that_are_markup_are_shown_as_they_are(full_page: str) -> None:
    page = Page(full_page)

    assert "img" not in {tag for tag, _ in page.tags}
    assert HEADLINE in page.text
    assert any(row[0] == MARKUP for row in page.rows if row)
    assert any(row[0] == CHINESE for row in page.rows if row)
    assert "<script>alert('" in page.text  # the label beside a plot's axis, cut to what fits there


def test_with_everything_given_nothing_is_missing(full_page: str) -> None:
    page = Page(full_page)

    assert page.sections == SECTIONS
    assert "Not here:" not in page.text
    for says in ("Share of each", "Median length", "Loss and", "Confusion", "Reliability", "Accuracy on", "Map of 60"):
        assert any(one.startswith(says) for one in page.drawings), says
    assert page.row("baseline", "majority")
    assert page.row("scores", "blend")[4] == percent(1.0)
    assert page.row("this student", "bundle")
    for part in ("Suspected label errors", "Highest loss", "Unsure", "Thresholds for the worker"):
        assert part in page.text
    for command in ("distil", "baseline", "blend", "report"):
        assert f"kuaixun-trainer {command} --" in page.text


def test_a_teacher_stands_beside_the_student_with_size_accuracy_and_speed(full_page: str) -> None:
    kind, name, size, dev, test, *_, speed = Page(full_page).row("teacher")

    assert (kind, name.split()) == ("teacher", ["teacher", "little-bert"])
    assert size.startswith("2.0")
    assert (dev, test, speed) == (percent(0.9125), percent(0.9375), "× 41")


def test_teachers_of_folds_are_one_line_of_means_and_are_not_timed(trained: Trained, tmp_path: Path) -> None:
    for number, dev in ((1, 0.9), (2, 0.8)):
        write_teacher(tmp_path / "folds" / f"fold-{number}", Path(trained["run"]), dev=dev)

    output = tmp_path / "report.html"
    assert main([*trained.least, "--teacher", str(tmp_path / "folds"), "--output", str(output)]) == 0

    page = Page(output.read_text(encoding="utf-8"))
    kind, name, size, dev_accuracy, test, *_ = page.row("teacher")
    assert (kind, dev_accuracy, test) == ("teacher", percent(0.85), percent(0.9375))
    assert name.startswith("folds little-bert; 2 folds")
    assert size.startswith("4.0")
    assert "student faster by" not in page.text
    assert "teachers with their size" not in page.text


def test_a_student_that_a_baseline_beats_is_told_where_models_are_compared(
    trained: Trained, full_page: str, tmp_path: Path
) -> None:
    written = Path(trained["base"], "baseline.json").read_bytes()
    baselines = msgspec.json.decode(written, type=Baselines)
    best = baselines.baselines[0]
    better = msgspec.structs.replace(best, name="better", dev=replace(best.dev, accuracy=1.01))
    group = msgspec.structs.replace(baselines, baselines=(best, better))
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "baseline.json").write_bytes(msgspec.json.encode(group))

    output = tmp_path / "report.html"
    given = ["--dev", trained["dev.txt"], "--baselines", str(tmp_path / "base")]
    assert main([*trained.least, *given, "--output", str(output)]) == 0

    told = Page(output.read_text(encoding="utf-8")).text
    assert "The student is worse than a baseline. Against better, the best baseline on dev" in told
    assert re.search(r"accuracy is -[0-9.]+ points on dev \(95 %: student .* points on test", told)
    assert "is worse than a baseline" not in full_page
    assert "Against <strong>majority</strong>, the best baseline on dev" in full_page


def test_what_was_not_given_is_said_with_the_command_that_adds_it(least_page: str) -> None:
    page = Page(least_page)

    assert page.sections == SECTIONS
    lacking = re.findall(r"Not here:.*?\n", page.text)
    for command in (
        "kuaixun-trainer report … --train train.txt --dev dev.txt",
        "kuaixun-trainer baseline",
        "kuaixun-trainer teacher",
        "kuaixun-trainer blend",
        "kuaixun-trainer distil",
        "--states 2000",
    ):
        assert any(command in line for line in lacking), command
    assert any(one.startswith("Confusion") for one in page.drawings)
    assert not any(one.startswith(("Loss", "Map")) for one in page.drawings)


def test_figures_are_those_of_evaluate(trained: Trained, full_page: str, tmp_path: Path) -> None:
    options = ["--bundle", trained["bundle"], "--data", trained["test.txt"], "--train", trained["train.txt"]]
    assert main(["evaluate", *options, "--scores", trained["blend.safetensors"], "--output", str(tmp_path / "e")]) == 0
    measured = msgspec.json.decode((tmp_path / "e" / "evaluation.json").read_bytes(), type=Measurement)
    student, page = measured.models[0], Page(full_page)
    figures = student.figures

    for one in figures.classes:
        expected = [f"{one.texts}", *(f"{number:.4f}" for number in (one.precision, one.recall, one.f1))]
        assert page.row(one.label, f"{one.texts}")[1:5] == expected
    assert percent(figures.accuracy) in page.text
    assert page.row("this student")[4:8] == [
        percent(figures.accuracy),
        f"{figures.macro_f1:.4f}",
        f"{figures.calibration_error:.4f}",
        percent(figures.clean_accuracy),
    ]
    (comparison,) = measured.comparisons
    assert page.row("blend")[1] == f"{100 * comparison.accuracy_difference:+.2f}"
    hardest, suspect = student.hardest[0], student.suspects[0]
    assert page.row(f"test.txt:{hardest.figures.row + 1}", hardest.text)[5] == f"{hardest.figures.loss:.3f}"
    assert f"{student.suspected} of {figures.texts} labels are suspect" in page.text
    found = next(row for row in page.rows if len(row) == 7 and row[0] == f"test.txt:{suspect.row + 1}")
    assert (found[2], found[6].strip()) == (suspect.label, f"{suspect.confidence - suspect.given:.3f}")


def test_only_a_student_with_n_grams_is_told_that_they_have_no_part_in_the_map(
    trained: Trained, full_page: str, tmp_path: Path
) -> None:
    files = ["--train", trained["train.txt"], "--dev", trained["dev.txt"]]
    shape = SHAPE.replace("--ngram-bits 8 --ngram-size 4", "--ngram-bits none")
    assert main(["distil", *files, *shape.split(), *FIT.split(), "--output", str(tmp_path / "run")]) == 0
    assert export_cli.main(["build", str(tmp_path / "run"), str(tmp_path / "bundle")]) == 0

    report = ["report", "--bundle", str(tmp_path / "bundle"), "--test", trained["test.txt"], "--states", "60"]
    assert main([*report, "--output", str(tmp_path / "report.html")]) == 0

    assert "The n-gram branch has no part in it." in full_page
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "UMAP of the student" in page
    assert "n-gram branch" not in page


def test_the_same_seed_gives_the_same_page(trained: Trained, least_page: str, tmp_path: Path) -> None:
    again, other = tmp_path / "least.html", tmp_path / "other" / "least.html"

    assert main([*trained.least, "--output", str(again)]) == 0
    assert main([*trained.least, "--seed", "1", "--output", str(other)]) == 0

    assert again.read_text(encoding="utf-8") == least_page
    assert other.read_text(encoding="utf-8") != least_page


def test_plots_that_leave_classes_out_say_so(
    trained: Trained, least_page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "Of 2 classes the 1 commonest."
    monkeypatch.setattr("kuaixun.trainer.report.page.SHOWN_CLASSES", 1)

    assert main([*trained.least, "--output", str(tmp_path / "report.html")]) == 0

    assert (tmp_path / "report.html").read_text(encoding="utf-8").count(said) == 2
    assert "commonest." not in least_page


def test_baselines_without_test_figures_leave_them_open(trained: Trained, tmp_path: Path) -> None:
    files = ["--train", trained["train.txt"], "--dev", trained["dev.txt"]]
    assert main(["baseline", *files, "--kinds", "majority", "--output", str(tmp_path / "base")]) == 0

    output = tmp_path / "report.html"
    assert main([*trained.least, "--baselines", str(tmp_path / "base"), "--output", str(output)]) == 0

    row = Page(output.read_text(encoding="utf-8")).row("baseline", "majority")
    assert row[3].endswith("%")
    assert row[4:] == ["–"] * 3


def test_a_report_is_never_written_over(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "report.html"
    kept.write_text("kept")
    monkeypatch.setattr("kuaixun.trainer.commands.report.open_classifier", None)  # refused before anything is opened
    capsys.readouterr()

    assert main([*trained.least, "--output", str(kept)]) == 2

    assert "exists already" in capsys.readouterr().err
    assert kept.read_text() == "kept"


def test_a_full_disk_leaves_nothing_behind(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(path: Path, *_: object, **__: object) -> None:
        with path.open("wb") as file:
            file.write(b"<!doctype")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("pathlib.Path.write_bytes", half)

    assert main([*trained.least, "--output", str(tmp_path / "report.html")]) == 2

    assert "No space left on device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "name"),
    [("--analysis", "analysis.json"), ("--baselines", "base"), ("--run", "run"), ("--teacher", "teacher")],
)
def test_figures_of_another_test_file_are_refused_by_name(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, name: str
) -> None:
    other = tmp_path / "test.txt"
    other.write_text(Path(trained["test.txt"]).read_text(encoding="utf-8") + f"球赛\t{CHINESE}\n", encoding="utf-8")
    report = ["report", "--bundle", trained["bundle"], "--test", str(other), option, trained[name]]
    capsys.readouterr()

    assert main([*report, "--output", str(tmp_path / "report.html")]) == 2

    told = capsys.readouterr().err
    assert "another test file" in told
    assert trained[name] in told
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("option", "file", "reason"),
    [
        ("--analysis", "given", "not what kuaixun-trainer analyse --json writes"),
        ("--baselines", "given/baseline.json", "not what kuaixun-trainer baseline --output writes"),
        ("--run", "given/checkpoint.json", "not what kuaixun-trainer distil --output writes"),
        ("--run", "given/other.json", "checkpoint.json: cannot be read"),
    ],
)
def test_files_that_hold_something_else_are_refused_by_name(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, file: str, reason: str
) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b'{"labels": 3}')
    capsys.readouterr()

    assert main([*trained.least, option, str(tmp_path / "given"), "--output", str(tmp_path / "report.html")]) == 2

    told = capsys.readouterr().err
    assert reason in told
    assert len(told.strip().splitlines()) == 1
