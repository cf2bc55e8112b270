"""A student taught without a GPU, by one file: vectors of words, networks, a wide student, variants, blends."""

from __future__ import annotations

from kuaixun.export import open_classifier
from kuaixun.trainer.pipeline.figures import figures_of
from tests.trainer.pipeline.conftest import PLAN, ToyRun, output_of

SMALL = 'epochs = 2\nbatch-size = 32\ndevice = "cpu"\nthreads = 1\n'
TEACHERS = f"""
[words]
texts = ["more.txt=0.5"]
size = 4
epochs = 1
minimum-frequency = 1

[[network]]
name = "cnn"
features = 4
folds = 2
{SMALL}
[[network]]
name = "lstm"
kind = "recurrent"
features = 4
{SMALL}
[[student]]
name = "wide"
filters = 8
ngram-bits = 8
{SMALL}
[vary]
seed = [1, 2]

[[blend]]
name = "two"
members = ["network-cnn", "network-lstm"]

[[blend]]
name = "three"
"""
TAUGHT = """[distil]
teacher-scores = "blend-two"
transfer-scores = ["blend-three", "network-lstm:0.5"]
"""
STAGES = ["split", "analyse", "words", "vary", "network-cnn", "network-lstm", "student-wide"]
STAGES += ["score-network-cnn", "score-network-lstm", "score-student-wide", "blend-two", "blend-three"]
STAGES += ["distil", "export", "evaluate", "report"]


def recipe(run: ToyRun) -> ToyRun:
    run.plan = 'without = ["baseline"]\n' + PLAN
    run.change("[distil]\n", TEACHERS + TAUGHT)
    (run.folder / "more.txt").write_text("股市今日大涨\n球赛今日开始\n" * 20, encoding="utf-8")
    return run


def test_the_whole_recipe_is_one_run_and_its_page_knows_all_teachers(toy_run: ToyRun) -> None:
    run = recipe(toy_run)
    run.real = ("split", "analyse", "words", "vary", "network", "teacher", "distil", "blend", "build", "evaluate")
    run.real += ("report",)

    assert list(run.make()) == STAGES

    work = run.folder / "work"
    assert open_classifier(work / "13-export" / "bundle").labels == ("finance", "sports")
    assert "(the first of 2)" in figures_of("network", work / "08-network-cnn")
    assert ", test " in figures_of("student", work / "09-student-wide")
    page = (work / "16-report" / "report.html").read_text(encoding="utf-8")
    assert "recurrent network of 4 features" in page
    assert "student of 8 filters" in page
    run.commands.clear()
    assert not any(run.make().values())
    assert run.commands == []


def test_each_stage_hears_those_that_the_file_names(toy_run: ToyRun) -> None:
    run = recipe(toy_run)
    run.make()

    work = run.folder / "work"
    commands = {output_of(command).parent.name: command for command in run.commands}
    words, vary, distil = commands["05-words"], commands["06-vary"], commands["12-distil"]
    train = f"{work / '01-split/parts/train.txt'}"
    assert [word for word in words if word.startswith("--texts=")] == [f"--texts={train}", "--texts=more.txt=0.5"]
    assert "--seed=1,2" in vary
    network, student = commands["08-network-cnn"], commands["09-student-wide"]
    assert f"--words={work / '05-words' / 'words'}" in network
    assert f"--score={train}={work / '08-network-cnn' / 'network-cnn-train.safetensors'}" in network
    assert student[0] == "distil"
    assert not [word for word in student if "score" in word or "transfer" in word]
    variants = work / "06-vary" / "variants.txt"
    score = commands["10-score-network-cnn"]
    folds = [f"--teacher={work / '08-network-cnn' / 'network-cnn' / f'fold-{number}'}" for number in (1, 2)]
    assert [word for word in score if word.startswith("--teacher=")] == folds
    assert [word for word in score if word.startswith("--score=")] == [
        f"--score={variants}={work / '10-score-network-cnn' / 'network-cnn-transfer.safetensors'}"
    ]
    assert sum(word.startswith("--score=") for word in commands["10-score-student-wide"]) == 4
    assert commands["11-blend-two"].count("--member") == 2
    assert commands["11-blend-three"].count("--member") == 3
    assert f"--transfer={variants}" in distil
    assert "--teacher-scores=work/11-blend-two/blend-two-train.safetensors" in distil
    assert "--transfer-scores=work/11-blend-three/blend-three-transfer.safetensors" in distil
    assert "--transfer-scores=work/10-score-network-lstm/network-lstm-transfer.safetensors:0.5" in distil


def test_other_variants_leave_the_networks_as_they_are(toy_run: ToyRun) -> None:
    run = recipe(toy_run)
    run.make()
    run.change("seed = [1, 2]", "seed = [1, 2, 3]")

    reasons = run.make()

    made = [name for name, reason in reasons.items() if reason]
    assert made == ["vary", *(name for name in STAGES if name.startswith(("score-", "blend-"))), *STAGES[-4:]]


def test_another_weight_teaches_the_student_anew(toy_run: ToyRun) -> None:
    run = recipe(toy_run)
    run.make()
    run.change("network-lstm:0.5", "network-lstm:0.7")

    reasons = run.make()

    assert reasons["distil"] == "settings changed: transfer-scores"
