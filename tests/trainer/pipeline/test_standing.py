"""What `run` says at its end, and on the way: who is beaten by a baseline, what is left out, what became of a stage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kuaixun.trainer.cli import main
from tests.trainer.pipeline.conftest import ToyRun, output_of

TEACHERS = '[[teacher]]\nname = "a"\nencoder = "bert"\nfolds = 2\n[[teacher]]\nname = "b"\nencoder = "bert"\n[distil]'
RECORDS = {"teacher": "teacher.json", "distil": "checkpoint.json"}


def figures(dev: float, test: float | None = None) -> dict[str, dict[str, float]]:
    roles = {"dev": dev} if test is None else {"dev": dev, "test": test}
    return {role: {"accuracy": accuracy} for role, accuracy in roles.items()}


class Measured:
    """Starts a toy run's commands; baselines and models leave the figures given, by the last part of their folder."""

    def __init__(self, run: ToyRun, **of: dict[str, dict[str, float]]) -> None:
        self._run, self._of = run, of

    def __call__(self, program: str, arguments: Sequence[str], folder: Path, printed: Path, lock: int) -> int:
        code = self._run.launch(program, arguments, folder, printed, lock)
        if arguments[0] == "baseline":
            measured = [{"name": name, **self._of[name]} for name in ("majority", "fasttext")]
            (output_of(arguments) / "baseline.json").write_text(json.dumps({"baselines": measured}))
        elif arguments[0] in RECORDS and "--scores-only" not in arguments:
            output = output_of(arguments)
            folders = [output]
            if "--folds=2" in arguments:
                folders = [output / "fold-1", output / "fold-2"]
            for number, one in enumerate(folders, start=1):
                one.mkdir(exist_ok=True)
                name = output.name.replace("-", "_") + (f"_{number}" if len(folders) > 1 else "")
                (one / RECORDS[arguments[0]]).write_text(json.dumps({"metrics": self._of[name]}))
        return code


@pytest.fixture
def shown(toy_run: ToyRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shown:
    return Shown(toy_run, monkeypatch, capsys)


class Shown:
    """Runs the command in its folder and keeps what it said."""

    def __init__(self, run: ToyRun, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.run, self._patch, self._capsys = run, patch, capsys
        self.said: list[str] = []
        self.table = ""

    def make(self, *options: str, **of: dict[str, dict[str, float]]) -> int:
        self.run.wiring()  # writes the file
        launch = Measured(self.run, **of) if of else self.run.launch
        self._patch.setattr("kuaixun.trainer.commands.run.in_a_process", launch)
        self._patch.setenv("COLUMNS", "100")
        self._capsys.readouterr()
        code = main(["run", str(self.run.folder / "run.toml"), "--work", str(self.run.folder / "work"), *options])
        told = self._capsys.readouterr()
        self.said, self.table = told.err.splitlines(), told.out
        return code


def test_a_student_that_a_baseline_beats_is_told_with_a_warning(shown: Shown) -> None:
    beaten = {"majority": figures(0.6, 0.1), "fasttext": figures(0.57, 0.5765), "checkpoint": figures(0.5118, 0.4612)}
    assert shown.make(**beaten) == 0
    warning = shown.said[-1]
    assert warning.startswith("warning: the student is")
    # The best on dev, where choices are made, whatever it is on test.
    assert "worse than the baseline majority: dev 0.5118 against 0.6000, test 0.4612 against 0.1000" in warning


@pytest.mark.parametrize(
    ("dev", "told"),
    [(0.54, "warning: the student is worse"), (0.56, "as good as"), (0.59, "as good as"), (0.61, "better than")],
)
def test_what_chance_may_make_of_a_baseline_is_no_difference(shown: Shown, dev: float, told: str) -> None:
    uncertain: dict[str, dict[str, Any]] = figures(0.57)
    uncertain["dev"]["accuracy_interval"] = {"low": 0.55, "high": 0.6}
    assert shown.make(majority=figures(0.1), fasttext=uncertain, checkpoint=figures(dev)) == 0
    assert told in shown.said[-1]
    assert f"dev {dev:.4f} against 0.5700 (0.5500 to 0.6000)" in shown.said[-1]


def test_a_student_that_beats_every_baseline_is_told_without_one(shown: Shown) -> None:
    assert shown.make(majority=figures(0.1), fasttext=figures(0.57, 0.6), checkpoint=figures(0.58, 0.59)) == 0
    assert shown.said[-1] == (
        "the student is better than the best baseline, fasttext: dev 0.5800 against 0.5700, test 0.5900 against 0.6000"
        ", the student's before its tables were rounded"
    )
    # Nor is a word said where nothing was measured, and where nothing is compared.
    shown.run.plan = 'without = ["baseline"]\n' + shown.run.plan.replace('[[baseline]]\nkinds = ["majority"]\n', "")
    assert shown.make(checkpoint=figures(0.5)) == 0
    assert "the student" not in shown.said[-1]


def test_a_teacher_no_better_than_a_baseline_is_told_before_the_student_learns_from_it(shown: Shown) -> None:
    (shown.run.folder / "bert").mkdir()
    (shown.run.folder / "bert" / "config.json").write_text("{}")
    shown.run.change("[distil]", TEACHERS)

    of_folds = {"teacher_a_1": figures(0.9), "teacher_a_2": figures(0.6), "teacher_b": figures(0.81)}
    baselines = {"majority": figures(0.3), "fasttext": figures(0.8)}
    assert shown.make(**baselines, **of_folds, checkpoint=figures(0.9)) == 0

    (at,) = (number for number, line in enumerate(shown.said) if line.startswith("warning: teacher"))
    warned = "teacher-a is no better than the baseline fasttext: dev 0.7500, the mean of 2 folds, against 0.8000"
    assert warned in shown.said[at]
    assert at < next(number for number, line in enumerate(shown.said) if ", distil:" in line)


def test_a_stage_that_was_interrupted_has_not_failed(shown: Shown) -> None:
    for code, became in ((130, "interrupted"), (1, "failed")):
        shown.run.fail = lambda arguments, code=code: code if arguments[0] == "distil" else 0  # type: ignore[misc]
        assert shown.make() == code
        row = next(line for line in shown.table.splitlines() if "distil" in line)
        assert [word for word in ("interrupted", "failed") if word in row] == [became]


def test_folders_stand_in_the_table_whole_however_long_their_path_is(shown: Shown) -> None:
    deep = shown.run.folder / ("a folder of a very long name " * 4) / "of runs"
    deep.mkdir(parents=True)

    assert shown.make("--work", str(deep)) == 0

    assert "03-baseline-1 │" in shown.table
    assert f"folders are in {deep}\n" in shown.table


def test_a_run_without_test_says_that_it_makes_no_report(shown: Shown) -> None:
    content = (shown.run.folder / "my.txt").read_text(encoding="utf-8")
    for name, more in (("train.txt", ""), ("dev.txt", content[: content.index("\n") + 1])):
        (shown.run.folder / name).write_text(content + more, encoding="utf-8")
    shown.run.change('file = "my.txt"\nseed = 1', 'train = "train.txt"\ndev = "dev.txt"')

    assert shown.make("--dry-run") == 0
    assert shown.said == ["no report is made: it needs test, which [data] does not name; evaluate measures dev"]
    assert shown.make() == 0
    assert shown.said[0].startswith("no report is made")
    shown.run.plan = 'without = ["report"]\n' + shown.run.plan
    assert shown.make("--dry-run") == 0
    assert shown.said == []


def test_the_page_is_given_the_folders_of_all_teachers_those_of_folds_too(shown: Shown) -> None:
    (shown.run.folder / "bert").mkdir()
    (shown.run.folder / "bert" / "config.json").write_text("{}")
    shown.run.change("[distil]", TEACHERS)

    assert shown.make() == 0

    report = next(command for command in shown.run.commands if command[0] == "report")
    work = shown.run.folder / "work"
    assert f"--teacher={work / '07-teacher-a' / 'teacher-a'}" in report
    assert f"--teacher={work / '07-teacher-b' / 'teacher-b'}" in report
