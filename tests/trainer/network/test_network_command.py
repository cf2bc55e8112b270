"""`kuaixun-trainer network`, from vectors of words to scores."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kuaixun.trainer.cli import main
from kuaixun.trainer.data.labelled_texts import read_labelled_texts
from kuaixun.trainer.network.folder import read_network
from kuaixun.trainer.network.job import SPREAD
from kuaixun.trainer.network.lexicon import UNKNOWN
from kuaixun.trainer.network.word_network import KINDS
from kuaixun.trainer.student.history import read_history
from kuaixun.trainer.teacher.scores import read_scores
from kuaixun.trainer.words.vectors import read_word_vectors

ToyFile = Callable[[str, int, int], Path]
SMALL = ("--features", "8", "--epochs", "6", "--batch-size", "16", "--learning-rate", "0.01", "--threads", "1")


@pytest.fixture
def files(toy_file: ToyFile, tmp_path: Path) -> list[str]:
    """The options of a training on toy texts, with vectors of their words."""
    train, dev = toy_file("train.txt", 240, 1), toy_file("dev.txt", 60, 2)
    words = tmp_path / "words"
    size = ("--size", "8", "--epochs", "1", "--minimum-frequency", "1")
    assert main(["words", "--texts", str(train), "--output", str(words), *size]) == 0
    return ["network", "--train", str(train), "--dev", str(dev), "--words", str(words), *SMALL]


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_learns_scores_and_scores_the_same_again(files: list[str], tmp_path: Path, kind: str) -> None:
    dev, out = tmp_path / "dev.txt", tmp_path / "network"
    options = ["--kind", kind, "--output", str(out), "--score", f"{dev}={tmp_path / 'scores'}"]
    assert main([*files, *options]) == 0
    assert main(["teacher", "--scores-only", "--teacher", str(out), "--score", f"{dev}={tmp_path / 'again'}"]) == 0

    record = json.loads((out / "network.json").read_text())
    data = read_labelled_texts(dev)
    scores, again = (
        read_scores(tmp_path / name, data_sha256=data.sha256, rows=60, labels=data.labels)
        for name in ("scores", "again")
    )
    accuracy = (scores.logits.argmax(axis=1) == data.label_ids).mean()
    assert accuracy > 0.9
    assert record["metrics"]["dev"]["accuracy"] == pytest.approx(accuracy)
    assert scores.teacher == record["training"]["command"]
    np.testing.assert_array_equal(scores.logits, again.logits)
    assert [file["role"] for file in record["training"]["data"]] == ["train", "dev", "words"]
    assert read_history(out)[-1].step == 90


def test_a_learning_rate_that_is_none_is_refused(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*files, "--word-learning-rate", "nan", "--output", str(tmp_path / "network")]) == 2
    assert "--word-learning-rate is nan; it must be above 0" in capsys.readouterr().err
    assert not (tmp_path / "network").exists()


def test_pretrained_vectors_are_where_it_begins(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    characters = "股市涨跌球赛"
    np.savez(tmp_path / "e.npz", embeddings=np.random.default_rng(0).normal(size=(6, 5)))
    (tmp_path / "v.json").write_text(json.dumps({one: row for row, one in enumerate(characters)}), encoding="utf-8")
    vectors = ["--embeddings", str(tmp_path / "e.npz"), "--embedding-vocabulary", str(tmp_path / "v.json")]

    # So small a learning rate that the tables stay what they began as.
    still = ["--learning-rate", "1e-12", "--word-learning-rate", "1e-12", "--epochs", "1"]
    assert main([*files, *vectors, *still, "--output", str(tmp_path / "network")]) == 0

    assert "6 of " in capsys.readouterr().err
    network = read_network(tmp_path / "network")
    ids = [UNKNOWN + 1 + network.lexicon.characters.index(one) for one in characters]
    with np.load(tmp_path / "e.npz") as archive:
        expected = archive["embeddings"] * SPREAD / archive["embeddings"].std()
    np.testing.assert_allclose(network.module.characters.weight.detach().numpy()[ids], expected, rtol=1e-3)
    words = read_word_vectors(tmp_path / "words").vectors
    lengths = np.linalg.norm(words, axis=1, keepdims=True).clip(min=1e-12)
    found = network.module.words.weight.detach().numpy()[1:]
    np.testing.assert_allclose(found, words / lengths * SPREAD * 8**0.5, rtol=1e-3, atol=1e-4)
    assert json.loads((tmp_path / "network" / "network.json").read_text())["shape"]["embedding_size"] == 5
    known = (tmp_path / "network" / "characters.txt").read_text(encoding="utf-8").split()
    assert set(characters) <= set(known)


def test_a_folder_that_is_no_network_is_refused(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "network"
    assert main([*files, "--output", str(out)]) == 0
    (out / "characters.txt").write_text("股\n", encoding="utf-8")
    score = ["--score", f"{tmp_path / 'dev.txt'}={tmp_path / 'scores'}"]

    assert main(["teacher", "--scores-only", "--teacher", str(out), *score]) == 2

    assert "does not fit together" in capsys.readouterr().err
    assert not (tmp_path / "scores").exists()
    assert main([*files[:-2], "--words", str(tmp_path), "--output", str(tmp_path / "two")]) == 2
    assert "name a folder that the words command wrote" in capsys.readouterr().err
