"""A run makes what changed and keeps the rest, and goes on where it was interrupted."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from kuaixun.export import open_classifier
from kuaixun.export.bundle.reader import read_manifest
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.pipeline.figures import figures_of
from kuaixun.trainer.pipeline.making import Choice, Run
from tests.trainer.conftest import toy_content
from tests.trainer.pipeline.conftest import ToyRun, output_of

ALL = ["split", "analyse", "baseline-1", "distil", "export", "evaluate", "report"]


def made(reasons: dict[str, str]) -> list[str]:
    return [name for name, reason in reasons.items() if reason]


@pytest.fixture
def done(toy_run: ToyRun) -> ToyRun:
    assert made(toy_run.make()) == ALL
    toy_run.commands.clear()
    return toy_run


def test_a_run_ends_with_a_bundle_that_serves_its_figures_and_a_page(toy_run: ToyRun) -> None:
    toy_run.real = ("split", "analyse", "baseline", "distil", "build", "evaluate", "report")

    assert made(toy_run.make()) == ALL

    work = toy_run.folder / "work"
    predictions = open_classifier(work / "13-export" / "bundle").classify(["球赛冠军进球教练"])
    assert len(predictions.label_ids) == 1
    (model,) = json.loads((work / "15-evaluate" / "figures" / "evaluation.json").read_bytes())["models"]
    assert model["figures"]["texts"] == 30
    assert "<html" in (work / "16-report" / "report.html").read_text(encoding="utf-8")
    assert "made up" in (work / "13-export" / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert figures_of("evaluate", work / "15-evaluate").startswith("bundle, as served: accuracy 0.")
    assert "majority: dev 0." in figures_of("baseline", work / "03-baseline-1")
    assert "test 0." in figures_of("distil", work / "12-distil")


def test_a_run_that_prunes_measures_what_is_left(toy_run: ToyRun) -> None:
    toy_run.change("[report]", "[prune]\nfilters = 2\n\n[report]")
    toy_run.real = ("split", "analyse", "distil", "build", "prune", "evaluate", "report")

    assert made(toy_run.make()) == [*ALL[:5], "prune", *ALL[5:]]

    work = toy_run.folder / "work"
    assert read_manifest(work / "13-export" / "bundle").architecture.filters == 4
    assert read_manifest(work / "14-prune" / "bundle").architecture.filters == 2
    assert figures_of("prune", work / "14-prune").startswith("dev 0.")
    for command in toy_run.commands:
        if command[0] in {"evaluate", "report"}:
            assert f"--bundle={work / '14-prune' / 'bundle'}" in command
    toy_run.change("filters = 2", "filters = 3")
    assert made(toy_run.decide()) == ["prune", "evaluate", "report"]


def test_nothing_is_made_again_where_nothing_changed(done: ToyRun) -> None:
    done.change('origin = "made up"', 'origin = ""')
    assert made(done.make()) == ["export", "evaluate", "report"]
    done.commands.clear()
    (done.folder / "notes.txt").write_text("no business of the run")

    assert made(done.decide()) == []
    assert list(done.make()) == ALL
    assert done.commands == []


def test_a_changed_setting_makes_its_stage_and_what_follows_and_says_which(done: ToyRun) -> None:
    done.change("epochs = 1", "epochs = 2")

    assert done.decide()["distil"] == "settings changed: epochs"
    assert done.decide()["export"] == "made again before it: distil"
    assert done.commands == []
    reasons = done.make()

    assert made(reasons) == ["distil", "export", "evaluate", "report"]
    assert reasons["export"] == "made again since: distil"
    assert [command[0] for command in done.commands] == ["distil", "build", "evaluate", "report"]
    assert (done.folder / "work" / "previous" / "12-distil" / "checkpoint" / "made.txt").exists()


def test_a_setting_that_only_the_last_stage_has_leaves_the_others(done: ToyRun) -> None:
    done.change("states = 0", "states = 0\nseed = 5")

    assert made(done.make()) == ["report"]


def test_one_byte_of_the_data_makes_everything_again(done: ToyRun) -> None:
    content = (done.folder / "my.txt").read_text(encoding="utf-8")
    (done.folder / "my.txt").write_text("新" + content, encoding="utf-8")

    assert done.decide()["split"] == "files changed: data"
    assert made(done.make()) == ALL


def test_a_file_that_is_gone_makes_its_stage_again(done: ToyRun) -> None:
    (done.folder / "work" / "15-evaluate" / "figures" / "made.txt").unlink()

    reasons = done.make()
    assert made(reasons) == ["evaluate"]
    assert reasons["evaluate"] == "its files are not those that it left"


def test_an_analysis_of_another_version_is_made_again(done: ToyRun) -> None:
    path = done.wiring().analysis_path
    path.write_text(path.read_text(encoding="utf-8").replace('"script"', '"alphas"'), encoding="utf-8")

    assert done.decide()["analyse"] == "what it left is of another version"
    assert done.make()["analyse"] == "what it left is of another version"
    assert '"script"' in path.read_text(encoding="utf-8")
    assert made(done.decide()) == []


@pytest.mark.parametrize(("code", "reason"), [(130, "was interrupted"), (2, "failed the last time")])
def test_a_stage_that_fails_ends_the_run_and_the_next_run_goes_on_there(
    toy_run: ToyRun, code: int, reason: str
) -> None:
    toy_run.fail = lambda arguments: code if arguments[0] == "distil" else 0
    assert list(toy_run.make()) == ["split", "analyse", "baseline-1", "distil"]
    toy_run.fail = lambda _: 0
    toy_run.commands.clear()

    assert toy_run.decide()["distil"] == reason
    reasons = toy_run.make()

    assert made(reasons) == ["distil", "export", "evaluate", "report"]
    assert reasons["distil"] == reason
    assert toy_run.commands[0][0] == "distil"
    assert not made(toy_run.make())


def test_a_stage_that_failed_and_was_then_interrupted_was_interrupted(toy_run: ToyRun) -> None:
    for code in (2, 130):
        toy_run.fail = lambda arguments, code=code: code if arguments[0] == "distil" else 0  # type: ignore[misc]
        toy_run.make()

    assert toy_run.decide()["distil"] == "was interrupted"


def test_an_error_of_the_process_itself_leaves_no_record_of_the_stage(toy_run: ToyRun) -> None:
    def explode(arguments: Sequence[str]) -> int:
        if arguments[0] == "build":
            raise KeyboardInterrupt
        return 0

    toy_run.fail = explode
    with pytest.raises(KeyboardInterrupt):
        toy_run.make()
    toy_run.fail = lambda _: 0

    assert made(toy_run.make()) == ["export", "evaluate", "report"]


def test_from_makes_a_stage_and_all_after_it_again(done: ToyRun) -> None:
    assert made(done.make(from_stage="export")) == ["export", "evaluate", "report"]


def test_only_makes_one_stage_and_what_read_it_follows_in_the_next_run(done: ToyRun) -> None:
    assert done.make(only="export") == {"export": "chosen with --only"}
    assert made(done.make()) == ["evaluate", "report"]


def test_only_is_refused_where_what_the_stage_reads_is_missing(toy_run: ToyRun) -> None:
    with pytest.raises(SettingError, match="--only distil: it reads split, which is not finished"):
        toy_run.make(only="distil")


def test_only_is_refused_with_advice_where_the_split_is_gone_that_its_settings_follow_from(done: ToyRun) -> None:
    shutil.rmtree(done.folder / "work" / "01-split")

    for ask in (done.make, done.decide):
        with pytest.raises(
            SettingError, match="--only distil: it reads split, which is not finished; leave --only out"
        ):
            ask(only="distil")
    assert done.make(only="export") == {"export": "chosen with --only"}
    assert done.decide()["split"] == "not made yet"


def test_two_runs_do_not_share_a_work_folder(toy_run: ToyRun) -> None:
    def second(_: Sequence[str]) -> int:
        with pytest.raises(SettingError, match="another run is at work"):
            ToyRun(toy_run.folder).make()
        return 1

    toy_run.fail = second
    toy_run.make()


def test_parts_that_are_there_are_taken_as_they_are(tmp_path: Path) -> None:
    for name, texts, seed in (("train", 200, 1), ("dev", 40, 2)):
        (tmp_path / f"{name}.txt").write_text(toy_content(texts, seed), encoding="utf-8")
    run = ToyRun(tmp_path)
    run.change('file = "my.txt"\nseed = 1', 'train = "train.txt"\ndev = "dev.txt"')

    assert list(run.make()) == ["analyse", "baseline-1", "distil", "export", "evaluate"]
    evaluate = run.commands[-1]
    assert f"--data={tmp_path / 'dev.txt'}" in evaluate


def test_a_packed_table_is_cut_into_tables(toy_run: ToyRun) -> None:
    rows = (toy_run.folder / "my.txt").read_text(encoding="utf-8").replace("\t", ",")
    (toy_run.folder / "my.csv.gz").write_bytes(gzip.compress(f"text,label\n{rows}".encode()))
    toy_run.change("my.txt", "my.csv.gz")

    assert made(toy_run.make()) == ALL
    parts = toy_run.folder / "work" / "01-split" / "parts"
    assert {path.name for path in parts.iterdir()} == {"train.csv", "dev.csv", "test.csv", "class.txt"}
    assert (parts / "dev.csv").read_text(encoding="utf-8").startswith("text,label")


def test_the_workers_threshold_is_chosen_on_dev_where_test_is_measured(toy_run: ToyRun) -> None:
    stages = {planned.name: planned for planned in toy_run.wiring().stages}
    assert not [word for word in stages["evaluate"].build(None).arguments if word.startswith("--dev")]

    toy_run.change("[report]", "[evaluate]\ntarget-accuracy = 0.6\n\n[report]")
    toy_run.real = ("split", "analyse", "distil", "build", "evaluate")
    toy_run.make()

    folder = toy_run.folder / "work" / "15-evaluate" / "figures"
    found = json.loads((folder / "evaluation.json").read_bytes())
    assert (found["data"], found["dev"]) == ("test.txt", "dev.txt")
    (model,) = found["models"]
    assert model["target"]["threshold"] == model["target_on_dev"]["threshold"]


@pytest.mark.parametrize("folder", ["", "a=b", "a:1", "a=b/c=0.5:1"])
def test_teachers_hand_their_scores_through_a_blend_to_the_student(toy_run: ToyRun, folder: str) -> None:
    (toy_run.folder / folder).mkdir(parents=True, exist_ok=True)
    toy_run.folder = (toy_run.folder / "my.txt").rename(toy_run.folder / folder / "my.txt").parent
    (toy_run.folder / "transfer.txt").write_text("球队\n", encoding="utf-8")
    encoder = toy_run.folder / "bert"
    encoder.mkdir()
    (encoder / "config.json").write_text("{}")
    teachers = '[[teacher]]\nname = "a"\nencoder = "bert"\nfolds = 3\n[[teacher]]\nname = "b"\nencoder = "bert"\n'
    toy_run.change("[distil]", f'{teachers}\n[distil]\nalpha = 0.5\ntransfer = "transfer.txt"')

    reasons = toy_run.make()

    scored = ["score-teacher-a", "score-teacher-b"]
    assert made(reasons) == [*ALL[:3], "teacher-a", "teacher-b", *scored, "blend", *ALL[3:]]
    commands = {command[0] + output_of(command).parent.name: command for command in toy_run.commands[2:]}
    distil, teacher = commands["distil12-distil"], commands["teacher07-teacher-a"]
    work = toy_run.folder / "work"
    assert f"--teacher-scores={work / '11-blend' / 'blend-train.safetensors'}" in distil
    scores = work / "07-teacher-a" / "teacher-a-train.safetensors"
    assert f"--score={work / '01-split/parts/train.txt'}={scores}" in teacher
    assert "--folds=3" in teacher


def test_an_interrupted_training_of_folds_keeps_the_folds_that_are_there(toy_run: ToyRun) -> None:
    encoder = toy_run.folder / "bert"
    encoder.mkdir()
    (encoder / "config.json").write_text("{}")
    toy_run.change("[distil]", '[[teacher]]\nencoder = "bert"\nfolds = 3\nepochs = 2\n[distil]')
    toy_run.fail = lambda arguments: 130 if arguments[0] == "teacher" else 0
    toy_run.make()
    left = toy_run.folder / "work" / "07-teacher-1" / "teacher-1" / "made.txt"
    seen: list[bool] = []

    def look(arguments: Sequence[str]) -> int:
        seen.append(left.exists())
        return 1

    def stand_in(program: str, arguments: Sequence[str], folder: Path, printed: Path, lock: int) -> int:
        return look(arguments)

    toy_run.wiring()
    for changed in (False, True):
        if changed:
            toy_run.change("epochs = 2", "epochs = 3")
        run = Run(toy_run.wiring(), Choice(), lambda _: None)
        list(run.make(stand_in, toy_run.folder))

    assert seen == [True, False]


def test_another_text_column_makes_everything_that_reads_texts_again(tmp_path: Path) -> None:
    for role, seed in (("train", 1), ("dev", 2), ("test", 3)):
        rows = [line.split("\t") for line in toy_content(200, seed).splitlines()]
        table = "".join(f"{text},{text},{label}\n" for text, label in rows)
        (tmp_path / f"{role}.csv").write_text("title,body,label\n" + table, encoding="utf-8")
    data = "".join(f'{role} = "{role}.csv"\n' for role in ("train", "dev", "test")) + 'text-column = "title"\n'
    more = "[pretrain]\nsteps = 1\n\n[words]\nsize = 8\n\n[[teacher]]\nepochs = 1\n\n[[network]]\nepochs = 1\n"
    toy_run = ToyRun(tmp_path)
    toy_run.change('file = "my.txt"\nseed = 1\n', data)
    toy_run.change("[distil]\n", f"{more}\n[distil]\n")
    toy_run.make()
    assert not made(toy_run.make())

    toy_run.change('text-column = "title"', 'text-column = "body"')
    reasons = toy_run.make()

    assert reasons["pretrain"] == reasons["words"] == "settings changed: text-column"
    assert "export" in made(reasons)


def test_a_file_of_ones_own_in_the_work_folder_is_an_input_as_any_other(toy_run: ToyRun) -> None:
    toy_run.change("[distil]\n", '[distil]\nteacher-scores = "work/mine.safetensors"\n')
    with pytest.raises(SettingError, match=r"\[distil\] teacher-scores: .*mine.safetensors does not exist"):
        toy_run.make()
    mine = toy_run.folder / "work" / "mine.safetensors"
    mine.parent.mkdir(exist_ok=True)
    mine.write_bytes(b"one")
    toy_run.make()
    assert not made(toy_run.make())

    mine.write_bytes(b"two")

    assert toy_run.make()["distil"] == "files changed: teacher-scores"


def test_what_another_stage_made_counts_by_its_content_where_it_is_named_by_its_path(toy_run: ToyRun) -> None:
    (toy_run.folder / "vectors").mkdir()
    network = '[[network]]\nwords = "vectors"\nepochs = 1\n\n'
    path = "work/08-network-1/network-1/made.txt"
    toy_run.change("[distil]\n", f'{network}[distil]\nteacher-scores = "{path}"\n')
    assert "distil" in made(toy_run.make())
    assert not made(toy_run.make())

    toy_run.change('"vectors"\nepochs = 1', '"vectors"\nepochs = 2')

    assert toy_run.make()["distil"] == "files changed: teacher-scores"


def test_what_an_interrupted_training_wrote_is_set_aside_beside_the_finished_one(done: ToyRun) -> None:
    previous = done.folder / "work" / "previous"
    best = Path("checkpoint", "made.txt")
    done.change("epochs = 1", "epochs = 2")
    done.fail = lambda arguments: 130 if arguments[0] == "distil" else 0
    done.make()
    told: list[str] = []
    done.fail = lambda _: 0
    list(Run(done.wiring(), Choice(), told.append).make(done.launch, done.folder))

    aside = previous / "12-distil.interrupted"
    assert [line for line in told if line.endswith(f"now lies in {aside}")]
    assert "--epochs=2" in (aside / best).read_text(encoding="utf-8")
    assert "--epochs=1" in (previous / "12-distil" / best).read_text(encoding="utf-8")


def test_a_stage_that_ended_early_with_nothing_leaves_what_was_set_aside_before(done: ToyRun) -> None:
    done.change("epochs = 1", "epochs = 2")
    done.fail = lambda arguments: 130 if arguments[0] == "distil" else 0
    done.make()

    def refuse(program: str, arguments: Sequence[str], folder: Path, printed: Path, lock: int) -> int:
        printed.touch()
        return 2

    for _ in range(2):
        list(Run(done.wiring(), Choice(), lambda _: None).make(refuse, done.folder))

    work = done.folder / "work"
    assert (work / "previous" / "12-distil.interrupted" / "checkpoint").exists()
    assert sorted(path.name for path in (work / "12-distil").iterdir()) == ["failed", "started"]


def test_no_record_of_a_stage_is_on_the_disk_before_its_files(toy_run: ToyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        if not (toy_run.folder / "work" / "12-distil" / "stage.json").exists():
            flushed.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    toy_run.make()

    assert (toy_run.folder / "work" / "12-distil" / "checkpoint" / "made.txt").stat().st_ino in flushed


def test_classes_that_look_alike_are_told_with_the_figures_of_the_analysis(toy_run: ToyRun) -> None:
    path = toy_run.folder / "my.txt"
    rows = path.read_text(encoding="utf-8").splitlines()
    halved = [f"{row}\u200b" if number % 2 else row for number, row in enumerate(rows)]
    path.write_text("\n".join(halved) + "\n", encoding="utf-8")
    toy_run.real = ("split", "analyse")

    toy_run.make()

    told = figures_of("analyse", toy_run.folder / "work" / "02-analyse")
    assert told.startswith("4 classes; texts: train ")
    assert r"; classes that look alike: 'finance', 'finance\u200b'; 'sports', 'sports\u200b'" in told
