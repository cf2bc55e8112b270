"""A run of the trainer from hostile files, and its report with everything in it."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest

from kuaixun.export import cli as export_cli
from kuaixun.export.checkpoint import read_checkpoint
from kuaixun.trainer.cli import main
from kuaixun.trainer.data.analysis import analyse
from kuaixun.trainer.data.content_hash import sha256_of_texts
from kuaixun.trainer.data.labelled_texts import read_labelled_texts, read_split
from kuaixun.trainer.scores.teacher_scores import TeacherScores, write_scores
from kuaixun.trainer.teacher.folder import RECORD_FILE, TeacherRecord
from kuaixun.trainer.teacher.settings import TeacherSettings
from tests.trainer.conftest import toy_content

SHAPE = "--filters 8 --embedding-size 12 --ngram-bits 8 --ngram-size 4 --minimum-frequency 1"
FIT = "--epochs 3 --batch-size 16 --learning-rate 0.01 --evaluate-every-steps 10 --device cpu --threads 1"
# A label that is markup, in half a formula of matplotlib's; and one that is not of this alphabet.
MARKUP = "<script>alert('label')</script>$x$"
CHINESE = "体育"
HEADLINE = "<img src=x onerror=alert(1)>\"球赛' & <script>alert('text')</script>"
STUDENT_IS_FASTER = 41.0


@dataclass(frozen=True, slots=True)
class Trained:
    """Files and folders as the commands leave them."""

    folder: Path

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)

    @property
    def least(self) -> list[str]:
        """The command with what it must have."""
        return ["report", "--bundle", self["bundle"], "--test", self["test.txt"], "--states", "0"]

    @property
    def everything(self) -> list[str]:
        """And with all that it can have."""
        files = ["--train", self["train.txt"], "--dev", self["dev.txt"], "--analysis", self["analysis.json"]]
        made = ["--baselines", self["base"], "--scores", self["blend.safetensors"], "--run", self["run"]]
        return [*self.least, *files, *made, "--teacher", self["teacher"], "--states", "60"]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    found = Trained(tmp_path_factory.mktemp("trained"))
    for name, texts, seed in (("train.txt", 160, 1), ("dev.txt", 60, 2), ("test.txt", 80, 3)):
        content = toy_content(texts, seed).replace("\tfinance", f"\t{MARKUP}").replace("\tsports", f"\t{CHINESE}")
        # Under the wrong label, so that it stands among the rows of highest loss.
        wrong = f"{HEADLINE}球球球球冠军冠军\t{MARKUP}\n" if name == "test.txt" else ""
        (found.folder / name).write_text(wrong + content, encoding="utf-8")
    files = ["--train", found["train.txt"], "--dev", found["dev.txt"], "--test", found["test.txt"]]
    assert main(["distil", *files, *SHAPE.split(), *FIT.split(), "--output", found["run"]]) == 0
    assert export_cli.main(["build", found["run"], found["bundle"]]) == 0
    assert main(["baseline", *files, "--kinds", "majority", "--output", found["base"]]) == 0
    split = read_split(*(found.folder / name for name in ("train.txt", "dev.txt", "test.txt")))
    (found.folder / "analysis.json").write_bytes(msgspec.json.encode(analyse(split.parts)))
    _write_scores(found.folder / "blend.safetensors", found.folder / "test.txt")
    write_teacher(found.folder / "teacher", found.folder / "run", dev=0.9125)
    return found


def _write_scores(path: Path, test: Path) -> None:
    """A blend that is right about every text."""
    data = read_labelled_texts(test)
    logits = np.where(np.equal(data.label_ids[:, None], np.arange(2)), 3.0, -3.0).astype(np.float16)
    texts_sha256 = sha256_of_texts(data.texts)
    command = "kuaixun-trainer blend --dev dev.txt"
    write_scores(path, TeacherScores(logits, test.name, texts_sha256, data.labels, command))


def write_teacher(folder: Path, run: Path, dev: float) -> None:
    """What a teacher's folder says of itself, without a teacher."""
    student = read_checkpoint(run).record
    record = TeacherRecord(
        labels=student.labels,
        encoder="little-bert",
        settings=TeacherSettings(),
        metrics={"dev": {"accuracy": dev, "macro_f1": 0.91}, "test": {"accuracy": 0.9375, "macro_f1": 0.9374}},
        best_step=12,
        training=student.training,
        texts_sha256="0" * 64,
    )
    folder.mkdir(parents=True)
    (folder / RECORD_FILE).write_bytes(msgspec.json.encode(record))
    (folder / "model.safetensors").write_bytes(bytes(2_000_000))


@pytest.fixture(scope="session")
def full_page(trained: Trained) -> str:
    """The report with everything. That a teacher is timed at all is another test's matter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kuaixun.trainer.report.job._student_is_faster", lambda *_: (STUDENT_IS_FASTER,))
        assert main([*trained.everything, "--output", trained["full.html"]]) == 0
    return Path(trained["full.html"]).read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def least_page(trained: Trained) -> str:
    """The report of a bundle and a test file."""
    assert main([*trained.least, "--output", trained["least.html"]]) == 0
    return Path(trained["least.html"]).read_text(encoding="utf-8")


class Page(HTMLParser):
    """What a browser would make of a page: its tags, its table rows, its text, its drawings by their description."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data

    @property
    def sections(self) -> list[str | None]:
        return [attributes["id"] for tag, attributes in self.tags if tag == "section"]

    @property
    def drawings(self) -> list[str]:
        return [attributes["aria-label"] or "" for tag, attributes in self.tags if tag == "svg"]

    def row(self, *first: str) -> list[str]:
        """The first table row that begins so, its cells stripped."""
        rows = [[cell.strip() for cell in row] for row in self.rows]
        return next(row for row in rows if row[: len(first)] == list(first))
