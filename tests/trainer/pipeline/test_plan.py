"""What a run's file may say, and what is said of a slip in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kuaixun.export.bundle.reader import default_bundle_path, read_manifest
from kuaixun.trainer.cli import main
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.pipeline.plan import read_plan
from kuaixun.trainer.pipeline.stage import Stage
from kuaixun.trainer.pipeline.wiring import Wiring
from tests.trainer.pipeline.conftest import PARSERS, ToyRun

DOCS = Path(__file__).parents[3] / "docs"
TWO = "[[student]]\n[[student]]\n"
NETWORK = "[[network]]\n"
TEACHER = "[[teacher]]\n"


def refusal(run: ToyRun) -> str:
    with pytest.raises(SettingError) as caught:
        run.make()
    assert run.commands == []
    return str(caught.value)


def wire(run: ToyRun) -> None:
    for planned in run.wiring().stages:
        planned.build(None)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("epochs = 1", "epoch = 1", "[distil] epoch: there is no such setting; did you mean epochs?"),
        ("[distil]", "[distill]", "there is no section [distill]; did you mean distil?"),
        ('kinds = ["majority"]', 'kinds = ["mayority"]', "[baseline] argument --kinds: 'mayority' is no kind"),
        ("epochs = 1", 'epochs = "x"', "[distil] epochs is 'x'; it must be a whole number"),
        ("epochs = 1", "alpha = 7", "[distil] --alpha is 7.0; it must be at least 0 and at most 1"),
        ("epochs = 1", "configuration = 'gone'", "[distil] --configuration gone: No such file or directory"),
        ("[distil]", "[[student]]\nfilters = 0\n[distil]", "[student] --filters is 0; it must be at least 1"),
        ("[distil]", "[[network]]\nwords = '.'\nepochs = 0\n[distil]", "[network] --epochs is 0; it must be"),
        (
            "[distil]",
            "[[network]]\nwords = '.'\nword-learning-rate = -5\n[distil]",
            "[network] --word-learning-rate is",
        ),
        ('kinds = ["majority"]', "learning-rate = -1", "[baseline] --learning-rate is -1.0; it must be above 0"),
        ('kinds = ["majority"]', 'kinds = ["frozen"]', "[baseline] --kinds frozen and --encoder need each other"),
        ("[distil]", f"[words]\nsampling = 7\n{NETWORK}[distil]", "[words] --sampling is 7.0"),
        ("[distil]", f"[pretrain]\n{TEACHER}[distil]", "[pretrain] --steps and --minutes: pass one of the two"),
        ("[distil]", f"[pretrain]\nsteps = 1\nhidden = 100\n{TEACHER}[distil]", "[pretrain] --hidden 100"),
        ("[distil]", "[[teacher]]\nencoder = 'x'\nhead = 'mlp'\nkind = 'generative'\n[distil]", "has no head"),
        ("epochs = 1", "output = 'x'", "[distil] output: the run sets this itself"),
        ("epochs = 1", "mixed-precision = 1", "[distil] mixed-precision is 1; it must be true or false"),
        ("epochs = 1", "transfer = 'gone.txt'", "gone.txt does not exist"),
        ('file = "my.txt"', 'fil = "my.txt"', "[data] fil: there is no such setting; did you mean file?"),
        ('file = "my.txt"', 'train = "my.txt"', "[data] seed does not go with train"),
        ('file = "my.txt"', 'file = "gone.txt"', "[data] file: "),
        (
            'file = "my.txt"\nseed = 1',
            'train = "my.txt"\ndev = "my.txt"',
            "my.txt: dev holds the same texts as train, ",
        ),
        ("seed = 1", 'ratios = "7:3"', "a run needs three parts"),
        ("[export]", "[blend]\n[export]", "[blend] mixes several teachers"),
        ("[distil]", "[[teacher]]\n[distil]", "[teacher] encoder: is missing"),
        ("[distil]", "[[network]]\n[distil]", "[network] words: is missing"),
        ("[distil]", "[words]\n[distil]", "[words] is for [[network]] and [vary]"),
        ("[distil]", "[vary]\nwords = '.'\n[distil]", "[vary] makes texts for teachers to score, and there is none"),
        ("[distil]", "[vary]\n[distil]\ntransfer = 'my.txt'", "[vary] makes the transfer set"),
        (
            "[distil]",
            f"{TWO}[blend]\nmembers = ['student-c', 'student-2']\n[distil]",
            "'student-c' is no teacher; did you mean student-2?",
        ),
        ("[distil]", f"{TWO}[blend]\nmembers = ['student-1']\n[distil]", "are not several"),
        ("[distil]", f"{TWO}[[blend]]\n[[blend]]\n[distil]", "[distil] teacher-scores: there are blend-1, blend-2"),
        ("[distil]", "[[student]]\nteacher-scores = 'x'\n[distil]", "a student that teaches learns from labels"),
        ("[data]", '[data]\nlabel-column = "text"', "[data] --text-column and --label-column both name 'text'"),
        ("[data]", 'without = ["distil"]\n[data]', "without 'distil' there is no run"),
        ("[data]", "[data", "not TOML"),
    ],
)
def test_a_slip_is_refused_with_its_section_before_anything_is_made(
    toy_run: ToyRun, old: str, new: str, said: str
) -> None:
    toy_run.change(old, new)

    assert said in refusal(toy_run)


@pytest.mark.parametrize("role", ["file", "train", "dev", "test"])
def test_a_table_without_the_columns_is_refused_before_anything_is_made(toy_run: ToyRun, role: str) -> None:
    for name in ("file", "train", "dev", "test"):
        header = "text,topic" if name == role else "text,label"
        (toy_run.folder / f"{name}.csv").write_text(f"{header}\n{name},a\n", encoding="utf-8")
    parts = "\n".join(f'{name} = "{name}.csv"' for name in ("train", "dev", "test"))
    toy_run.change('file = "my.txt"\nseed = 1', 'file = "file.csv"' if role == "file" else parts)

    message = refusal(toy_run)

    path = toy_run.folder / f"{role}.csv"
    assert (
        f"[data] {path}, line 1: the header has no column, or several, named 'label'; its columns are 'text', "
        in message
    )
    toy_run.change("[data]", '[data]\nlabel_column = "topic"')
    if role == "file":
        toy_run.wiring()


def test_one_file_is_enough(toy_run: ToyRun) -> None:
    toy_run.plan = '[data]\nfile = "my.txt"\n'

    names = [planned.name for planned in toy_run.wiring().stages]

    assert names == ["split", "analyse", "baseline", "distil", "export", "evaluate", "report"]


def test_dashes_underscores_switches_and_lists_become_options(toy_run: ToyRun) -> None:
    toy_run.change("widths = [2, 3]", "widths = [2, 3]\nprepend_cls = true\ndrop-latin = false")

    stage = next(planned for planned in toy_run.wiring().stages if planned.name == "distil").build(None)

    assert {"--widths=2,3", "--prepend-cls", "--no-drop-latin", "--minimum-frequency=1"} <= set(stage.arguments)


@pytest.mark.parametrize("folds", ["3", '"3"', "[3]"])
def test_all_folds_of_a_network_score_the_transfer_set_however_their_number_is_written(
    toy_run: ToyRun, folds: str
) -> None:
    toy_run.change("[distil]", f"[[network]]\nwords = '.'\nfolds = {folds}\n[distil]\ntransfer = 'my.txt'")

    stages = {planned.name: planned.build(None) for planned in toy_run.wiring().stages}

    assert "--folds=3" in stages["network-1"].arguments
    model = toy_run.folder / "work" / "08-network-1" / "network-1"
    told = [word for word in stages["score-network-1"].arguments if word.startswith("--teacher=")]
    assert told == [f"--teacher={model / f'fold-{number}'}" for number in (1, 2, 3)]


@pytest.mark.parametrize("section", ["baseline", "teacher"])
def test_an_encoder_is_a_folder_whose_content_counts_or_a_name_of_the_hub(toy_run: ToyRun, section: str) -> None:
    kinds = 'kinds = "frozen"\n' if section == "baseline" else ""
    toy_run.change('[[baseline]]\nkinds = ["majority"]\n', f'[[{section}]]\n{kinds}encoder = "bert-base-chinese"\n')

    def stage() -> Stage:
        return {planned.name: planned.build(None) for planned in toy_run.wiring().stages}[f"{section}-1"]

    assert "--encoder=bert-base-chinese" in stage().arguments
    assert "encoder" not in stage().files
    (toy_run.folder / "bert-base-chinese").mkdir()
    assert stage().files["encoder"] == toy_run.folder / "bert-base-chinese"


def test_of_a_table_words_and_encoders_read_the_column_of_the_texts(toy_run: ToyRun) -> None:
    (toy_run.folder / "my.csv").write_text("title,label\n一,a\n", encoding="utf-8")
    toy_run.change('file = "my.txt"', 'file = "my.csv"\ntext-column = "title"')
    toy_run.change("[distil]", f"[words]\n[pretrain]\nsteps = 1\n{NETWORK}{TEACHER}[distil]")

    stages = {planned.name: planned.build(None).arguments for planned in toy_run.wiring().stages}

    for name in ("words", "pretrain"):
        assert "--text-column=title" in stages[name]
        assert not [word for word in stages[name] if word.startswith("--label-column")]


def test_stages_can_be_left_out(toy_run: ToyRun) -> None:
    toy_run.change("[data]", 'without = ["baseline", "report"]\n[data]')

    names = [planned.name for planned in toy_run.wiring().stages]
    assert names == ["split", "analyse", "distil", "export", "evaluate"]


def stages_of(plan: str, folder: Path, *files: str) -> dict[str, Stage]:
    """The stages of a plan, as `run` would make them, with files as it names them that hold next to nothing."""
    (folder / "run.toml").write_text(plan, encoding="utf-8")
    for name in files:
        content = "title,topic\n一,a\n" if name.endswith(".csv") else name
        (folder / name).write_text(content, encoding="utf-8")
    wiring = Wiring(read_plan(folder / "run.toml"), folder / "work", PARSERS)
    assert main(["run", str(folder / "run.toml"), "--dry-run"]) == 0
    return {planned.name: planned.build(None) for planned in wiring.stages}


def test_the_example_of_the_documentation_is_one(tmp_path: Path) -> None:
    page = (DOCS / "retraining.md").read_text(encoding="utf-8")
    example = page.split("```toml\n")[1].split("```")[0]

    names = [*stages_of(example, tmp_path, "headlines.csv", "unlabelled.txt.xz")]

    assert names[:4] == ["split", "analyse", "baseline-characters", "baseline-words"]
    scored = ["score-teacher-large", "score-teacher-small"]
    assert names[4:-4] == ["pretrain", "teacher-large", "teacher-small", *scored, "blend-1"]
    assert names[-4:] == ["distil", "export", "evaluate", "report"]


def test_the_student_that_ships_is_made_by_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = (DOCS / "shipped-student.toml").read_text(encoding="utf-8")
    parts = ("train.txt", "dev.txt", "test.txt", "class.txt")
    more = ("headlines.txt.xz", "articles.txt.xz", "embeddings.npz", "characters.json")

    stages = stages_of(plan, tmp_path, *parts, *more)

    told = capsys.readouterr().out.splitlines()
    assert [line.partition(": would be made")[0] for line in told] == [*stages]
    command = read_manifest(default_bundle_path()).training.command
    for words in stages["distil"].chosen.values():
        assert [word.partition("=")[0] in command for word in words] == [True] * len(words)
    names = [*stages]
    assert names[:2] == ["analyse", "words"]
    teachers = ["network-recurrent", "network-convolutional", "student-wide"]
    scored = [f"score-{name}" for name in teachers]
    assert names[2:-2] == ["vary", *teachers, *scored, "blend-two", "blend-three", "distil", "export", "prune"]


def test_what_does_not_go_with_the_settings_that_suit_the_data_is_refused_once_they_are_known(toy_run: ToyRun) -> None:
    english = "".join(f"a market rose word{row % 7} again\t{'up' if row % 2 else 'down'}\n" for row in range(300))
    (toy_run.folder / "my.txt").write_text(english.replace("again\tup", "so\tup"), encoding="utf-8")
    toy_run.plan = '[data]\nfile = "my.txt"\n[[student]]\n[distil]\nngram-size = 8\n'

    with pytest.raises(SettingError, match=r"\[distil\] --ngram-size: beside detectors of words"):
        toy_run.make()

    assert [command[0] for command in toy_run.commands] == ["split", "analyse"]


def test_a_file_that_an_editor_begins_with_a_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('[data]\nfile = "my.txt"\n', encoding="utf-8-sig")

    assert read_plan(path).of("data") == {"file": "my.txt"}
