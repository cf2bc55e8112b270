"""Leaving out filters: those that say nothing cost nothing, and no more go than dev allows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from kuaixun.export import cli as export_cli
from kuaixun.export.bundle.reader import open_bundle
from kuaixun.export.student.quantisation import logits_in
from kuaixun.trainer.cli import main
from kuaixun.trainer.data.labelled_texts import read_labelled_texts
from kuaixun.trainer.fitting.encoded_texts import EncodedTexts, encode
from kuaixun.trainer.student.deployed import DeployedStudent
from kuaixun.trainer.student.pruning import (
    Trial,
    kept_filters,
    smaller_sizes,
    smallest_near,
    trials,
    what_filters_say,
    without_others,
)

ToyFile = Callable[[str, int, int], Path]
SHAPE = "--filters 130 --embedding-size 12 --ngram-bits 8 --ngram-size 4 --minimum-frequency 1"
FIT = "--epochs 3 --batch-size 16 --learning-rate 0.01 --evaluate-every-steps 10 --device cpu --threads 1 --seed 7"
NOBODY = cast("DeployedStudent", None)  # whom nobody looks at
MUTE = 40  # filters of each width that are made to say nothing


@pytest.fixture
def bundle(toy_file: ToyFile, tmp_path: Path) -> Path:
    """A student of 130 filters of each width, of which far fewer would do."""
    files = ["--train", str(toy_file("train.txt", 240, 1)), "--dev", str(toy_file("dev.txt", 60, 2))]
    assert main(["distil", *files, "--output", str(tmp_path / "run"), *SHAPE.split(), *FIT.split()]) == 0
    built = ["build", str(tmp_path / "run"), str(tmp_path / "bundle"), "--origin", "A toy's world."]
    assert export_cli.main(built) == 0
    return tmp_path / "bundle"


def prune(bundle: Path, output: Path, *more: str) -> int:
    files = [f"--{role}={bundle.parent / role}.txt" for role in ("train", "dev")]
    return main(["prune", "--bundle", str(bundle), *files, "--output", str(output), *more])


def dev_of(bundle: Path) -> EncodedTexts:
    opened = open_bundle(bundle)
    return encode(opened.pipeline, read_labelled_texts(bundle.parent / "dev.txt", labels=opened.manifest.labels))


def student_of(bundle: Path) -> DeployedStudent:
    opened = open_bundle(bundle)
    return DeployedStudent(opened.weights, opened.manifest.architecture)


def test_a_filter_that_says_the_same_of_every_text_goes_first_and_moves_no_logit(bundle: Path) -> None:
    student, dev = student_of(bundle), dev_of(bundle)
    weights = student.weights
    convolutions, biases = ([one.copy() for one in ones] for ones in (weights.convolutions, weights.convolution_biases))
    for place, (convolution, bias) in enumerate(zip(convolutions, biases, strict=True)):
        convolution[place : place + MUTE] = 0.0
        bias[place : place + MUTE] = 0.5  # a constant, which the last layer weighs
    weights = dataclasses.replace(weights, convolutions=tuple(convolutions), convolution_biases=tuple(biases))
    constant = dataclasses.replace(student, weights=weights)

    says = what_filters_say(constant, dev)
    kept = kept_filters(constant, 130 - MUTE, says)
    pruned = without_others(constant, kept, says)

    for place, row in enumerate(kept):
        assert not row[place : place + MUTE].any()
        assert row.sum() == 130 - MUTE
    assert pruned.architecture.filters == 130 - MUTE
    before, after = (logits_in("fp32", one.weights, one.architecture, dev.ids.numpy()) for one in (constant, pruned))
    assert np.abs(after - before).max() < 2e-3  # the bias is rounded to half precision


def test_what_counts_is_what_moves_one_class_against_another(bundle: Path) -> None:
    student, dev = student_of(bundle), dev_of(bundle)
    linear = student.weights.linear.copy()
    linear[:, 0] = 100.0  # for all classes alike
    student = dataclasses.replace(student, weights=dataclasses.replace(student.weights, linear=linear))
    says = what_filters_say(student, dev)
    assert says.counts[0] == pytest.approx(0.0, abs=1e-6)
    assert says.means.shape == says.counts.shape == linear.shape[1:]
    assert says.counts.max() > 0.01


def test_trials_say_of_each_size_what_a_student_of_that_size_says(bundle: Path) -> None:
    student, dev = student_of(bundle), dev_of(bundle)
    listened, tried = list[float | None](), list[float | None]()
    says = what_filters_say(student, dev, lambda share, _: listened.append(share))
    whole = logits_in("fp32", student.weights, student.architecture, dev.ids.numpy()).argmax(axis=1)  # (n,)
    label_ids = dev.label_ids.numpy()
    for trial in trials(student, (64, 1), says, dev, lambda share, _: tried.append(share)):
        one = trial.student
        labels = logits_in("fp32", one.weights, one.architecture, dev.ids.numpy()).argmax(axis=1)  # (n,)
        assert trial.accuracy == pytest.approx((labels == label_ids).mean())
        assert trial.accuracy_difference == pytest.approx((labels == label_ids).mean() - (whole == label_ids).mean())
        assert trial.label_agreement == pytest.approx((labels == whole).mean())
    assert listened[-1] == tried[-1] == 1.0


@pytest.mark.parametrize(
    ("near", "smallest"),
    [((True, True, False, True), 1), ((True,), 0), ((False, True), None), ((), None)],
)
def test_the_smallest_is_the_last_before_one_that_costs_too_much(near: tuple[bool, ...], smallest: int | None) -> None:
    found = [Trial(NOBODY, 0.9, 0.0 if one else -0.0011, 1.0) for one in near]
    assert smallest_near(found) is (None if smallest is None else found[smallest])


@pytest.mark.parametrize(
    ("difference", "agreement", "near"),
    [(-0.001, 0.995, True), (-0.0011, 1.0, False), (0.01, 0.9949, False)],
)
def test_a_tenth_of_a_point_and_one_label_of_two_hundred_may_go(
    difference: float, agreement: float, near: bool
) -> None:
    assert Trial(NOBODY, 0.9, difference, agreement).is_near is near


def test_sizes_are_what_the_engine_takes_at_once() -> None:
    assert [*smaller_sizes(384)] == [320, 256, 192, 128, 64]
    assert [*smaller_sizes(130)] == [128, 64]
    assert [*smaller_sizes(64)] == [*smaller_sizes(8)] == []


def test_a_bundle_is_pruned_to_one_that_is_calibrated_measured_and_described_anew(
    bundle: Path, toy_file: ToyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test_file = toy_file("test.txt", 80, 3)
    capsys.readouterr()
    assert prune(bundle, tmp_path / "pruned", "--test", str(test_file)) == 0
    said = capsys.readouterr()
    whole, pruned = open_bundle(bundle).manifest, open_bundle(tmp_path / "pruned").manifest
    assert pruned.architecture.filters in {64, 128}
    assert f"{pruned.architecture.filters} *" in said.out
    assert pruned.model_id != whole.model_id
    assert pruned.model_id in said.err
    assert pruned.metrics["dev"]["accuracy"] >= whole.metrics["dev"]["accuracy"] - 0.001
    assert "test" in pruned.metrics
    command = pruned.training.command
    assert command.startswith(f"{whole.training.command} && kuaixun-trainer prune --train=train.txt --dev=dev.txt ")
    assert command.endswith(f" --bundle {whole.model_id}")
    assert command.count("--bundle") == 1
    assert str(tmp_path) not in command
    assert pruned.training.data[: len(whole.training.data)] == whole.training.data
    assert [file.role for file in pruned.training.data] == ["train", "dev", "test"]
    assert "- Origin: A toy's world." in (tmp_path / "pruned" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert export_cli.main(["verify", "--bundle", str(tmp_path / "pruned"), "--run-code"]) == 0


def test_filters_may_be_named_whatever_it_costs(bundle: Path, tmp_path: Path) -> None:
    assert prune(bundle, tmp_path / "pruned", "--filters", "1") == 0
    assert open_bundle(tmp_path / "pruned").manifest.architecture.filters == 1


@pytest.mark.parametrize("filters", ["130", "1000"])
def test_no_fewer_filters_are_refused(
    filters: str, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prune(bundle, tmp_path / "pruned", "--filters", filters) == 2
    assert "the bundle has 130 filters of each width; name fewer with --filters" in capsys.readouterr().err
    assert not (tmp_path / "pruned").exists()


def test_where_every_filter_counts_nothing_is_written(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kuaixun.trainer.student.pruning.LEAST_AGREEMENT", 1.1)
    assert prune(bundle, tmp_path / "pruned") == 2
    assert "every filter counts" in capsys.readouterr().err
    assert not (tmp_path / "pruned").exists()


def test_texts_of_other_labels_are_refused(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bundle.parent / "dev.txt").write_text("标题\tweather\n", encoding="utf-8")
    assert prune(bundle, tmp_path / "pruned") == 2
    assert "weather" in capsys.readouterr().err
    assert not (tmp_path / "pruned").exists()


def test_further_outputs_are_made_anew(bundle: Path, tmp_path: Path) -> None:
    both = tmp_path / "both"
    assert export_cli.main(["build", str(tmp_path / "run"), str(both), "--also", "torch-export"]) == 0
    assert prune(both, tmp_path / "pruned", "--filters", "64") == 0
    whole, pruned = open_bundle(both).manifest, open_bundle(tmp_path / "pruned").manifest
    assert whole.files.keys() == pruned.files.keys()
    assert export_cli.main(["verify", "--bundle", str(tmp_path / "pruned"), "--run-code"]) == 0


def test_dev_that_is_the_training_file_is_refused(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prune(bundle, bundle.parent / "pruned", f"--dev={bundle.parent / 'train.txt'}") == 2

    assert "train.txt: dev holds the same texts as train, " in capsys.readouterr().err


def test_a_bundle_too_small_for_the_sizes_that_are_tried_is_told_so(
    bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kuaixun.trainer.student.pruning.smaller_sizes", lambda _: range(0))

    assert prune(bundle, bundle.parent / "pruned") == 2

    told = capsys.readouterr().err
    assert "name fewer with --filters; by itself this goes down to multiples of 64 alone" in told
