"""`kuaixun-trainer network`, from vectors of words to scores."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kuaixun.trainer.cli import main
from kuaixun.trainer.data.labelled_texts import read_labelled_texts
from kuaixun.trainer.data.text_lines import TextLines
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.fitting.encoded_texts import EncodedTexts
from kuaixun.trainer.fitting.history import read_history
from kuaixun.trainer.fitting.training import Fit
from kuaixun.trainer.network import folder as network_folder
from kuaixun.trainer.network import job as network_job
from kuaixun.trainer.network.folder import read_network
from kuaixun.trainer.network.job import SPREAD, NetworkJob
from kuaixun.trainer.network.lexicon import UNKNOWN, new_lexicon
from kuaixun.trainer.network.scoring import network_logits
from kuaixun.trainer.network.word_network import KINDS, WordNetwork
from kuaixun.trainer.scores.teacher_scores import read_scores
from kuaixun.trainer.words.segmentation import segmenter
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
    scores, again = (read_scores(tmp_path / name, data.texts, data.labels) for name in ("scores", "again"))
    accuracy = (scores.logits.argmax(axis=1) == data.label_ids).mean()
    assert accuracy > 0.9
    assert record["metrics"]["dev"]["accuracy"] == pytest.approx(accuracy)
    assert scores.teacher == record["training"]["command"]
    np.testing.assert_array_equal(scores.logits, again.logits)
    assert [file["role"] for file in record["training"]["data"]] == ["train", "dev", "words"]
    assert read_history(out)[-1].step == 90


def test_an_interruption_while_files_are_scored_tells_how_to_score_them_later(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kuaixun.trainer.network.scoring.network_logits", interrupt)
    out, scores = tmp_path / "network", tmp_path / "scores"
    command = [*files, "--output", str(out), "--score", f"{tmp_path / 'dev.txt'}={scores}"]

    assert main(command) == 130

    assert read_network(out).record.labels
    assert not scores.exists()
    told = capsys.readouterr().err
    assert "no scores of dev.txt: kuaixun-trainer teacher --scores-only" in told
    assert told.endswith("nothing is kept but what is told above\n")


@pytest.mark.parametrize(
    ("folds", "kept", "says"),
    [((), ".", "kept the best; no file is scored"), (("--folds", "2"), "fold-1", "repeat the command")],
)
def test_an_interruption_while_a_network_is_measured_keeps_it_and_a_second_one_gives_it_up(
    files: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    folds: tuple[str, ...],
    kept: str,
    says: str,
) -> None:
    presses = [1]
    real = network_job._figures

    def measure(*given: Any) -> dict[str, float]:
        for _ in range(presses[0]):
            os.kill(os.getpid(), signal.SIGINT)
        return real(*given)

    monkeypatch.setattr(network_job, "_figures", measure)
    out = tmp_path / "network"

    command = [*files, "--epochs", "1", *folds, "--score", f"{tmp_path / 'dev.txt'}={tmp_path / 'scores'}"]
    assert main([*command, "--output", str(out)]) == 130
    assert "dev" in read_network(out / kept).record.metrics
    assert says in capsys.readouterr().err
    assert not (tmp_path / "scores").exists()
    presses[0] = 2
    assert main([*command, "--output", str(tmp_path / "given-up")]) == 130
    assert not (tmp_path / "given-up").exists()


def test_out_of_fold_scores_come_from_networks_that_never_saw_the_row(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train, dev, out = tmp_path / "train.txt", tmp_path / "dev.txt", tmp_path / "networks"
    learnt: list[set[int]] = []

    interrupt_after = [2]

    def fit(job: NetworkJob, module: WordNetwork, texts: EncodedTexts, *rest: Any) -> Fit:
        if len(learnt) in interrupt_after:
            raise KeyboardInterrupt
        learnt.append(set(texts.rows.tolist()))
        return real(job, module, texts, *rest)

    real = network_job._fit
    monkeypatch.setattr(network_job, "_fit", fit)
    command = [*files, "--folds", "3", "--output", str(out), "--score", f"{train}={tmp_path / 'oof'}"]
    command += ["--score", f"{dev}={tmp_path / 'mean'}"]
    assert main(command) == 130
    assert {path.name for path in out.iterdir()} == {"fold-1", "fold-2"}
    assert capsys.readouterr().err.endswith("repeat the command to go on after the folds that are finished\n")
    interrupt_after.clear()

    assert main(command) == 0

    data = read_labelled_texts(train)
    scores = read_scores(tmp_path / "oof", data.texts, data.labels)
    assert scores.folds == 3
    assert (scores.logits.argmax(axis=1) == data.label_ids).mean() > 0.85
    assert len(learnt) == 3
    for number, seen in enumerate(learnt, start=1):
        unseen = sorted(set(range(240)) - seen)
        network = read_network(out / f"fold-{number}")
        assert (network.record.fold, network.record.folds) == (number, 3)
        alone = network_logits(network, [data.texts[row] for row in unseen], torch.device("cpu"))
        np.testing.assert_allclose(scores.logits[unseen], alone, rtol=2e-3, atol=1e-3)
    assert set.union(*(set(range(240)) - seen for seen in learnt)) == set(range(240))
    assert "train, out of fold: accuracy 0." in capsys.readouterr().err
    again = ["--folds", "3", "--dropout", "0.1", "--output", str(out)]
    assert main([*files, *again]) == 2
    assert "of other data or settings" in capsys.readouterr().err
    only = ["teacher", "--scores-only", "--teacher", str(out / "fold-1"), "--score", f"{train}={tmp_path / 'no'}"]
    assert main(only) == 2
    assert "fold-1 learnt from a part of train.txt" in capsys.readouterr().err


@pytest.mark.parametrize("other", [("--text-column", "summary"), ("--label-column", "corrected")])
def test_folds_of_one_column_are_refused_for_another_of_the_same_table(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], other: tuple[str, str]
) -> None:
    for role in ("train", "dev"):
        rows = read_labelled_texts(tmp_path / f"{role}.txt")
        labels = [rows.label_of(row) for row in range(len(rows))]
        cells = zip(rows.texts, rows.texts, labels, (*labels[1:], labels[0]), strict=True)
        lines = [f"{title},{summary[::-1]},{label},{corrected}\n" for title, summary, label, corrected in cells]
        (tmp_path / f"{role}.csv").write_text("".join(["title,summary,label,corrected\n", *lines]), encoding="utf-8")
        files[files.index(f"--{role}") + 1] = str(tmp_path / f"{role}.csv")
    command = [*files, "--epochs", "1", "--folds", "2", "--output", str(tmp_path / "folds"), "--text-column", "title"]
    assert main(command) == 0
    assert main(command) == 0
    capsys.readouterr()

    assert main([*command, *other]) == 2

    assert "fold-1 is a teacher of other data or settings" in capsys.readouterr().err


def test_a_blend_of_scores_with_folds_and_without_is_warned_of(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, dev = tmp_path / "train.txt", tmp_path / "dev.txt"
    members = []
    for name, more in (("whole", []), ("folded", ["--folds", "2"])):
        scored = {role: tmp_path / f"{name}-{role}" for role in ("dev", "train")}
        wanted = [f"--score={path}={scored[role]}" for role, path in (("dev", dev), ("train", train))]
        assert main([*files, *more, "--epochs", "1", "--output", str(tmp_path / name), *wanted]) == 0
        members += ["--member", *map(str, scored.values())]
    capsys.readouterr()

    assert main(["blend", "--dev", str(dev), *members, "--score", f"{train}={tmp_path / 'out'}"]) == 0

    told = capsys.readouterr().err
    assert "warning: train.txt: folds differ" in told
    assert "whole-dev none" in told
    assert "folded-dev 2" in told
    assert "warning: train.txt: one teacher of several scored each row, on dev the mean of all did" in told


def test_the_mean_is_for_folds_of_one_training_alone(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, more in (("one", ["--folds", "2"]), ("other", ["--folds", "2", "--seed", "5"]), ("whole", [])):
        assert main([*files, *more, "--epochs", "1", "--output", str(tmp_path / name)]) == 0
    data = read_labelled_texts(tmp_path / "dev.txt")

    def mean(out: Path, *names: str) -> int:
        teachers = [f"--teacher={tmp_path / name}" for name in names]
        return main(["teacher", "--scores-only", *teachers, f"--score={data.source}={out}"])

    for number, (first, second) in enumerate((("one/fold-1", "other/fold-2"), ("one/fold-1", "whole"), ("whole",) * 2)):
        assert mean(tmp_path / str(number), first, second) == 2
        assert "mix the scores with kuaixun-trainer blend" in capsys.readouterr().err
        assert not (tmp_path / str(number)).exists()
    assert mean(tmp_path / "mean", "one/fold-1", "one/fold-2") == 0
    alone = [
        network_logits(read_network(tmp_path / "one" / name), data.texts, torch.device("cpu"))
        for name in ("fold-1", "fold-2")
    ]
    scores = read_scores(tmp_path / "mean", data.texts, data.labels)
    np.testing.assert_allclose(scores.logits, np.mean(alone, axis=0), rtol=2e-3, atol=1e-3)


def test_it_tells_how_far_it_is_with_the_words_of_its_texts(files: list[str], tmp_path: Path) -> None:
    told: list[tuple[float | None, str]] = []
    texts = TextLines(("股市大涨",) * 20_000, tmp_path / "texts.txt", "")
    lexicon = new_lexicon(texts.texts, ("股市",), minimum_frequency=1, max_tokens=8)

    lexicon.encode(texts, segmenter(), lambda share, remark: told.append((share, remark)))

    shares = [share for share, _ in told if share is not None]
    assert len(shares) > 1
    assert shares == sorted(shares)
    assert told[-1] == (1.0, "words of 20000 of 20000 texts of texts.txt")


@pytest.mark.parametrize("rate", ["nan", "inf"])
def test_a_learning_rate_that_is_none_is_refused(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], rate: str
) -> None:
    assert main([*files, "--word-learning-rate", rate, "--output", str(tmp_path / "network")]) == 2
    assert f"--word-learning-rate is {rate}; it must be above 0" in capsys.readouterr().err
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


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_of_a_network_too_large_for_memory_is_refused_before_memory_is_taken(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def without_memory(*given: Any) -> WordNetwork:
        assert torch.empty(0).device.type == "meta"
        return WordNetwork(*given)

    out = tmp_path / "network"
    assert main([*files, "--epochs", "1", "--kind", kind, "--output", str(out)]) == 0
    record = json.loads((out / "network.json").read_text())
    record["shape"]["features"] = 1 << 16
    (out / "network.json").write_text(json.dumps(record))
    monkeypatch.setattr(network_folder, "WordNetwork", without_memory)

    with pytest.raises(SettingError, match=r"does not fit together: linear\.weight is .* in weights\.safetensors"):
        read_network(out)
