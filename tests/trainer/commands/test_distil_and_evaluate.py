"""`kuaixun-trainer` from end to end: files in, a checkpoint that the exporter builds, figures of its bundle."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kuaixun.export import cli as export_cli
from kuaixun.export.bundle.reader import read_bundle
from kuaixun.export.checkpoint import read_checkpoint
from kuaixun.export.student.quantisation import with_best_scales
from kuaixun.export.student.weights import StudentWeights
from kuaixun.export.text.vocabulary import CLS
from kuaixun.trainer.cli import main
from kuaixun.trainer.fitting.watching import DevFigures

ToyFile = Callable[[str, int, int], Path]
SHAPE = "--filters 8 --embedding-size 12 --ngram-bits 8 --ngram-size 4 --minimum-frequency 1"
FIT = "--epochs 4 --batch-size 16 --learning-rate 0.01 --evaluate-every-steps 10 --device cpu --threads 1 --seed 7"


def distil(toy_file: ToyFile, output: Path, *more: str) -> int:
    files = ["--train", str(toy_file("train.txt", 240, 1)), "--dev", str(toy_file("dev.txt", 60, 2))]
    return main(["distil", *files, "--output", str(output), *SHAPE.split(), *FIT.split(), *more])


def test_a_run_writes_a_checkpoint_that_builds_into_a_bundle_with_the_same_figures(
    toy_file: ToyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test_file = toy_file("test.txt", 80, 3)

    assert distil(toy_file, tmp_path / "run", "--test", str(test_file)) == 0
    told = capsys.readouterr().err
    assert told.startswith("learning from 240 labels alone")
    assert "teacher" not in told
    assert "pretrained" not in told
    assert "lowest loss so far" in told
    assert export_cli.main(["build", str(tmp_path / "run"), str(tmp_path / "bundle")]) == 0
    capsys.readouterr()
    # In single precision, as the figures of the checkpoint are; rounded tables move confidences a little.
    served = ["--bundle", str(tmp_path / "bundle"), "--engine", "torchscript", "--device", "cpu"]
    evaluation = ["evaluate", *served, "--data", str(test_file), "--json"]
    assert main([*evaluation, "--train", str(test_file)]) == 0

    (model,) = json.loads(capsys.readouterr().out)["models"]
    figures = model["figures"]
    record = read_checkpoint(tmp_path / "run").record
    assert figures["accuracy"] >= 0.95
    assert figures["accuracy"] == pytest.approx(record.metrics["test"]["accuracy"])
    assert figures["calibration_error"] == pytest.approx(record.metrics["test"]["calibration_error"], abs=1e-5)
    assert figures["clean_texts"] == 0
    assert figures["clean_accuracy"] is None


def test_a_checkpoint_tells_how_to_make_it_again_without_telling_where_files_lay(
    toy_file: ToyFile, tmp_path: Path
) -> None:
    assert distil(toy_file, tmp_path / "run") == 0

    training = read_checkpoint(tmp_path / "run").record.training
    assert training.command.startswith("kuaixun-trainer distil --train train.txt --dev dev.txt --output run ")
    assert "--seed 7" in training.command
    assert training.seed == 7
    assert [(file.role, file.name, file.rows) for file in training.data] == [
        ("train", "train.txt", 240),
        ("dev", "dev.txt", 60),
    ]


def test_the_table_of_figures_names_every_class(
    toy_file: ToyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dev = toy_file("dev.txt", 60, 2)
    assert distil(toy_file, tmp_path / "run") == 0
    assert export_cli.main(["build", str(tmp_path / "run"), str(tmp_path / "bundle")]) == 0
    capsys.readouterr()

    assert main(["evaluate", "--bundle", str(tmp_path / "bundle"), "--data", str(dev)]) == 0

    shown = capsys.readouterr().out
    for part in ("finance", "sports", "macro mean", "accuracy", "calibration error"):
        assert part in shown


def test_an_interrupted_run_writes_the_best_so_far_and_says_so(
    toy_file: ToyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: object, figures: DevFigures) -> None:
        if figures.step == 20:
            raise KeyboardInterrupt

    monkeypatch.setattr("kuaixun.trainer.commands.progress.Lines.evaluated", interrupt)

    assert distil(toy_file, tmp_path / "run") == 130

    assert "interrupted after" in capsys.readouterr().err
    assert read_checkpoint(tmp_path / "run").record.metrics["dev"]["accuracy"] > 0.5


def test_sigterm_keeps_the_best_so_far_as_ctrl_c_does_however_many_of_them_one_stop_sends(
    toy_file: ToyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def terminated(_: object, figures: DevFigures) -> None:
        if figures.step == 20:
            signal.raise_signal(signal.SIGTERM)

    def terminated_again(weights: StudentWeights, ids: np.ndarray) -> StudentWeights:
        signal.raise_signal(signal.SIGTERM)
        return with_best_scales(weights, ids)

    monkeypatch.setattr("kuaixun.trainer.commands.progress.Lines.evaluated", terminated)
    monkeypatch.setattr("kuaixun.trainer.student.description.with_best_scales", terminated_again)

    # Without a handler the signal would end the tests.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        assert distil(toy_file, tmp_path / "run") == 130
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)

    assert "interrupted after 19 of 60 steps: kept the best" in capsys.readouterr().err
    assert read_checkpoint(tmp_path / "run").record.metrics["dev"]["accuracy"] > 0.5


def test_a_run_that_is_interrupted_before_any_evaluation_leaves_nothing_behind(
    toy_file: ToyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kuaixun.trainer.commands.progress.Lines.stepped", interrupt)

    assert distil(toy_file, tmp_path / "runs" / "run") == 130

    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (("--embeddings", "table.npz"), "--embedding-vocabulary"),
        (("--learning-rate", "0"), "--learning-rate is 0.0"),
        (("--dropout", "1"), "--dropout is 1.0"),
        (("--test", "nowhere.txt"), "nowhere.txt: cannot be read"),
    ],
)
def test_bad_input_ends_with_code_2_and_one_paragraph(
    toy_file: ToyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], reason: str
) -> None:
    assert distil(toy_file, tmp_path / "run", *more) == 2

    told = capsys.readouterr().err
    assert reason in told
    assert "Traceback" not in told
    assert len(told.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_misspelt_option_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["distil", "--trian", "a.txt"])

    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.endswith("See kuaixun-trainer distil --help.\n")


def test_ctrl_c_after_the_last_step_loses_no_training(
    toy_file: ToyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(weights: StudentWeights, ids: np.ndarray) -> StudentWeights:
        signal.raise_signal(signal.SIGINT)
        return with_best_scales(weights, ids)

    monkeypatch.setattr("kuaixun.trainer.student.description.with_best_scales", interrupted)

    assert distil(toy_file, tmp_path / "run") == 130

    assert read_checkpoint(tmp_path / "run").record.metrics["dev"]["accuracy"] >= 0.95
    assert "interrupted after 60 of 60 steps: kept the best weights so far" in capsys.readouterr().err


def test_ctrl_c_while_torch_is_imported_leaves_without_a_trace() -> None:
    program = """
import sys
class Interrupt:
    def find_spec(self, name, *_):
        if name == "torch":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
from kuaixun.trainer.cli import main
sys.exit(main(["distil"]))
"""
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert outcome.returncode == 130
    assert outcome.stderr == "kuaixun-trainer: interrupted; nothing is kept but what is told above\n"


def test_an_output_that_holds_something_is_refused_before_training(
    toy_file: ToyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious.txt").write_text("kept")

    assert distil(toy_file, tmp_path / "run") == 2

    told = capsys.readouterr().err
    assert "exists already" in told
    assert "step" not in told
    assert (tmp_path / "run" / "precious.txt").read_text() == "kept"


def test_an_output_that_cannot_be_written_is_refused_before_training(
    toy_file: ToyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "afile").write_text("kept")

    assert distil(toy_file, tmp_path / "afile" / "deep" / "run") == 2

    told = capsys.readouterr().err
    assert "--output" in told
    assert "Not a directory" in told
    assert "Errno" not in told
    assert "step" not in told


def test_a_disk_without_room_for_the_weights_is_told_before_training(
    toy_file: ToyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))

    assert distil(toy_file, tmp_path / "run") == 2

    told = capsys.readouterr().err
    assert "No space left on device" in told
    assert "step" not in told


def test_a_disk_that_fills_up_during_training_ends_in_one_paragraph(
    toy_file: ToyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path))

    monkeypatch.setattr("kuaixun.trainer.student.distillation.write_checkpoint", refuse)

    assert distil(toy_file, tmp_path / "run") == 2

    told = capsys.readouterr().err
    assert "No space left on device" in told
    assert "Traceback" not in told


def test_latin_letters_can_be_dropped_and_a_cls_token_put_first(
    toy_file: ToyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--prepend-cls", "--drop-latin"]
    assert distil(toy_file, tmp_path / "run", *options) == 0

    checkpoint = read_checkpoint(tmp_path / "run")
    assert checkpoint.record.text.prepend_cls
    assert checkpoint.record.training.command.endswith("--prepend-cls --drop-latin")
    assert checkpoint.pipeline.clean(["股市ＡbＣ涨"]) == ["股市涨"]
    assert checkpoint.pipeline.encode(["Ａb"]).ids.tolist() == [[CLS]]
    assert export_cli.main(["build", str(tmp_path / "run"), str(tmp_path / "bundle")]) == 0


def test_without_these_options_letters_stay_and_no_token_comes_first(toy_file: ToyFile, tmp_path: Path) -> None:
    assert distil(toy_file, tmp_path / "run") == 0

    checkpoint = read_checkpoint(tmp_path / "run")
    assert checkpoint.pipeline.clean(["ＡbＣ"]) == ["abc"]
    assert CLS not in checkpoint.pipeline.encode(["股市涨"]).ids


def test_labels_that_look_like_markup_are_shown_as_they_are(
    toy_file: ToyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, texts, seed in (("train.txt", 240, 1), ("dev.txt", 60, 2)):
        path = toy_file(name, texts, seed)
        marked = path.read_text(encoding="utf-8").replace("\tfinance", "\t[finance]").replace("\tsports", "\t[/x]")
        path.with_name(f"marked-{name}").write_text(marked, encoding="utf-8")
    train, dev = tmp_path / "marked-train.txt", tmp_path / "marked-dev.txt"
    files = ["--train", str(train), "--dev", str(dev), "--output", str(tmp_path / "run")]
    assert main(["distil", *files, *SHAPE.split(), *FIT.split()]) == 0
    assert export_cli.main(["build", str(tmp_path / "run"), str(tmp_path / "bundle")]) == 0
    capsys.readouterr()

    assert main(["evaluate", "--bundle", str(tmp_path / "bundle"), "--data", str(dev)]) == 0

    shown = capsys.readouterr().out
    assert "[finance]" in shown
    assert "[/x]" in shown


def test_a_student_too_large_to_serve_is_refused_before_training(
    toy_file: ToyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kuaixun.schemas.manifest.FOLDED_LIMIT_BYTES", 5000)

    assert distil(toy_file, tmp_path / "run") == 2

    told = capsys.readouterr().err
    assert "choose a smaller --filters" in told
    assert "step" not in told


def test_a_test_file_of_which_cleaning_leaves_nothing_is_refused_before_training(
    toy_file: ToyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hollow = tmp_path / "hollow.txt"
    hollow.write_text("\u200b\u200d\tsports\n", encoding="utf-8")

    assert distil(toy_file, tmp_path / "run", "--test", str(hollow)) == 2

    told = capsys.readouterr().err
    assert "hollow.txt: cleaning leaves nothing" in told
    assert "step" not in told


def test_a_size_out_of_range_is_refused_by_its_option(
    toy_file: ToyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert distil(toy_file, tmp_path / "run", "--filters", "0") == 2

    assert "--filters is 0; it must be at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--widths", "2,2"), ("--ngram-bits", "99")])
def test_a_shape_that_cannot_be_is_refused_by_its_option(
    toy_file: ToyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: tuple[str, str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        distil(toy_file, tmp_path / "run", *option)

    assert caught.value.code == 2
    assert f"argument {option[0]}" in capsys.readouterr().err


def test_evaluating_a_folder_that_is_no_bundle_is_refused(
    toy_file: ToyFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["evaluate", "--bundle", str(tmp_path), "--data", str(toy_file("dev.txt", 5, 1))])

    assert code not in (0, 1)
    assert str(tmp_path) in capsys.readouterr().err


def test_the_bundle_serves_with_scales_chosen_on_dev_and_says_what_each_precision_costs(
    toy_file: ToyFile, tmp_path: Path
) -> None:
    assert distil(toy_file, tmp_path / "run") == 0
    assert export_cli.main(["build", str(tmp_path / "run"), str(tmp_path / "bundle")]) == 0

    checkpoint, bundle = read_checkpoint(tmp_path / "run"), read_bundle(tmp_path / "bundle")
    without = {name: tensor for name, tensor in checkpoint.state.items() if not name.endswith(".scales")}
    widest = StudentWeights.from_trained(without, checkpoint.record.architecture).convolution_scales
    chosen = [checkpoint.state[f"convolutions.{index}.scales"] for index in range(len(widest))]
    assert all(
        np.array_equal(ours, served) for ours, served in zip(chosen, bundle.weights.convolution_scales, strict=True)
    )
    assert all((ours <= most).all() and (ours < most).any() for ours, most in zip(chosen, widest, strict=True))
    assert bundle.manifest.precision == checkpoint.record.precision
    assert checkpoint.record.precision.costs.int8.largest_logit_difference > 0
