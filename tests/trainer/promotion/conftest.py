"""A folder of bundles whose champion is a tiny student, trained once for all tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kuaixun.export import cli as export_cli
from kuaixun.export.bundle.reader import read_manifest
from kuaixun.trainer.cli import main
from tests.trainer.conftest import toy_content

SHAPE = (
    "--filters=4",
    "--widths=2",
    "--embedding-size=8",
    "--ngram-bits=6",
    "--minimum-frequency=1",
    "--max-tokens=16",
)
FIT = ("--batch-size=16", "--learning-rate=0.02", "--evaluate-every-steps=10", "--device=cpu", "--threads=1")
STUDENT = (*SHAPE, *FIT, "--epochs")
FILES = {"train": (200, 1), "dev": (60, 2), "test": (120, 3), "new": (60, 4)}


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files, and two bundles of the same classes: `poor`, hardly trained, and `good`."""
    folder = tmp_path_factory.mktemp("promotion")
    for name, (texts, seed) in FILES.items():
        (folder / f"{name}.txt").write_text(toy_content(texts, seed), encoding="utf-8")
    data = [f"--train={folder / 'train.txt'}", f"--dev={folder / 'dev.txt'}"]
    for name, epochs in (("poor", "1"), ("good", "8")):
        assert main(["distil", *data, f"--output={folder / f'{name}-run'}", *STUDENT, epochs]) == 0
        assert export_cli.main(["build", str(folder / f"{name}-run"), str(folder / name)]) == 0
    return folder


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    """The files, the two bundles, and an empty folder `bundles` beside them."""
    home = tmp_path / "home"
    shutil.copytree(trained, home)
    (home / "bundles").mkdir()
    return home


def crown(home: Path, name: str) -> str:
    """Let that bundle be the champion; its model id."""
    model_id = read_manifest(home / name).model_id
    shutil.copytree(home / name, home / "bundles" / model_id)
    (home / "bundles" / "current").symlink_to(model_id)
    return model_id


def retrain(home: Path, *more: str) -> int:
    files = [f"--{name}={home / f'{name}.txt'}" for name in FILES]
    return main(["retrain", f"--bundles={home / 'bundles'}", *files, "--device=cpu", "--threads=1", *more])
