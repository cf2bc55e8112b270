"""ONNX, torch.export and AOTInductor: the same student, checked before it is written and again by `verify`."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kuaixun.export import EngineError, GoldenCaseError
from kuaixun.export.bundle.file_names import MODEL_CARD_FILE, REQUIRED_FILES
from kuaixun.export.bundle.reader import Bundle, read_bundle
from kuaixun.export.bundle.writer import write_bundle
from kuaixun.export.checkpoint import Checkpoint, write_checkpoint
from kuaixun.export.cli import main
from kuaixun.export.engine.interface import Scorer
from kuaixun.export.further import outputs
from kuaixun.export.further.outputs import AOTINDUCTOR, FURTHER_OUTPUTS, ONNX, TORCH_EXPORT, FurtherOutput
from kuaixun.export.student.ngrams import NOBODY, OWNER_SHIFT, ngram_hashes
from kuaixun.export.student.textcnn import TextCNN
from kuaixun.export.student.tracing import convolutional_module
from kuaixun.export.student.weights import StudentWeights
from kuaixun.export.text.pipeline import Encoded
from kuaixun.export.text.vocabulary import PAD
from kuaixun.schemas.manifest import Architecture, NgramBranch
from tests.export.conftest import LABELS
from tests.export.hostile_bundles import rewrite

ALL = tuple(FURTHER_OUTPUTS.values())
pytestmark = pytest.mark.timeout(1800)  # the compiler of one of them takes a minute of a whole core
Make = Callable[[FurtherOutput, Architecture, StudentWeights], bytes]


@pytest.fixture(scope="module")
def whole_path(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with every further output; compiled once for all tests."""
    try:
        outputs.require(ALL)
    except EngineError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    path = tmp_path_factory.mktemp("bundles") / "whole"
    write_bundle(path, checkpoint, also=ALL)
    return path


@pytest.fixture(scope="module")
def whole(whole_path: Path) -> Bundle:
    return read_bundle(whole_path)


@pytest.fixture
def copy(whole_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole_path, tmp_path / "copy"))


@pytest.fixture
def without_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = outputs._is_installed
    monkeypatch.setattr(outputs, "_is_installed", lambda module: module != "onnxruntime" and installed(module))


def logits_of(scorer: Scorer, ids: torch.Tensor) -> NDArray[np.float64]:
    lengths = (ids != PAD).sum(dim=1).numpy()
    return scorer.logits(Encoded(ids.int().numpy(), lengths))


@pytest.mark.parametrize("output", ALL, ids=lambda output: output.name)
def test_a_further_output_answers_as_the_reference_does_for_any_batch_and_padding(
    whole: Bundle, output: FurtherOutput
) -> None:
    reference = convolutional_module(whole.manifest.architecture, whole.weights)
    scorer = outputs.open_output(output, whole.read_file(output.file))
    generator = torch.Generator().manual_seed(5)
    for batch, tokens in ((1, 1), (1, 2), (1, 24), (2, 1), (7, 3), (300, 11)):
        ids = torch.randint(1, 60, (batch, tokens), generator=generator)
        lengths = torch.randint(0, tokens + 1, (batch, 1), generator=generator)
        ids[torch.arange(tokens) >= lengths] = PAD
        expected = reference(ids).numpy()
        for padded in (ids, torch.nn.functional.pad(ids, (0, 3), value=PAD)):
            assert np.abs(logits_of(scorer, padded) - expected).max() < 1e-4, (batch, tokens)


def test_hashes_are_exact_in_onnx_for_the_largest_ids() -> None:
    """Products of 2^20 and a 32-bit multiplier, and bitwise operations on them, in somebody else's runtime."""
    architecture = Architecture(
        vocabulary_size=1 << 20, embedding_size=1, widths=(1,), filters=1, ngrams=NgramBranch(bucket_bits=6, size=3)
    )
    trained = TextCNN(architecture, len(LABELS))
    assert trained.ngrams is not None
    torch.nn.init.normal_(trained.ngrams.table)
    ids = torch.arange((1 << 20) - 200, 1 << 20).reshape(8, 25)
    hashes = ngram_hashes(ids, trained.ngrams.branch)
    owned = hashes[hashes >= 0]
    trained.ngrams.owners[owned % 64] = (owned >> OWNER_SHIFT).short()
    state = {name: tensor.numpy() for name, tensor in trained.state_dict().items()}
    weights = StudentWeights.from_trained(state, architecture)
    expected = convolutional_module(architecture, weights)(ids).numpy()
    scorer = outputs.open_output(ONNX, outputs.make(ONNX, architecture, weights))
    assert np.abs(logits_of(scorer, ids) - expected).max() < 1e-4
    trained.ngrams.owners.fill_(NOBODY)
    assert np.abs(trained(ids).detach().numpy() - expected).max() > 0.1  # so the n-grams do have a say


def test_a_bundle_holds_further_outputs_only_where_they_were_asked_for(whole: Bundle, bundle: Bundle) -> None:
    assert set(bundle.manifest.files) == REQUIRED_FILES
    assert set(whole.manifest.files) == REQUIRED_FILES | {output.file for output in ALL}
    card = whole.read_file(MODEL_CARD_FILE).decode()
    assert all(f"`{output.file}`" in card for output in ALL)
    assert "other runtimes" not in bundle.read_file(MODEL_CARD_FILE).decode()


def test_the_compiled_package_is_not_for_the_one_machine_that_made_it(whole: Bundle) -> None:
    with zipfile.ZipFile(io.BytesIO(whole.read_file(AOTINDUCTOR.file))) as package:
        made_for = [package.read(name) for name in package.namelist() if name.endswith("_metadata.json")]
    assert made_for
    assert not any(b"AVX512" in metadata for metadata in made_for)


def test_verify_runs_what_is_data_and_runs_code_only_when_told_to(
    whole_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    opened: list[str] = []
    open_output = outputs.open_output

    def watched(output: FurtherOutput, content: bytes) -> Scorer:
        opened.append(output.name)
        return open_output(output, content)

    monkeypatch.setattr("kuaixun.export.further.check.open_output", watched)
    assert main(["verify", "--bundle", str(whole_path)]) == 0
    shown = capsys.readouterr().out
    assert opened == ["onnx"]
    assert "student.onnx (onnxruntime)" in shown
    for output in (TORCH_EXPORT, AOTINDUCTOR):
        assert f"{output.file} " in shown
    assert shown.count("not checked: it can hold code of its maker's; --run-code runs it") == 3
    assert main(["verify", "--bundle", str(whole_path), "--run-code"]) == 0
    assert opened == ["onnx", *FURTHER_OUTPUTS]
    assert "not checked" not in capsys.readouterr().out


@pytest.mark.usefixtures("without_onnxruntime")
def test_verify_says_what_it_could_not_check(
    whole_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["verify", "--bundle", str(whole_path)]) == 0
    assert "not checked: onnxruntime is not installed" in capsys.readouterr().out


@pytest.mark.usefixtures("without_onnxruntime")
def test_an_output_that_cannot_be_made_here_is_refused_before_anything_is_written(
    checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_checkpoint(tmp_path / "run", checkpoint)
    build = ["build", str(tmp_path / "run"), str(tmp_path / "bundle"), "--also"]
    assert main([*build, "onnx"]) == EngineError.exit_code
    told = capsys.readouterr().err
    assert "--also onnx needs onnxruntime, which is not installed: pip install 'kuaixun[onnx]'" in told
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert main([*build, "aotinductor"]) == EngineError.exit_code
    assert "there is no no-such-compiler: install a C++ compiler" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_build_makes_each_output_once_and_verifies_it(
    checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    made: list[str] = []
    make = outputs.make

    def watched(output: FurtherOutput, architecture: Architecture, weights: StudentWeights) -> bytes:
        made.append(output.name)
        return make(output, architecture, weights)

    monkeypatch.setattr("kuaixun.export.bundle.writer.make", watched)
    write_checkpoint(tmp_path / "run", checkpoint)
    build = ["build", str(tmp_path / "run"), str(tmp_path / "bundle")]
    assert main([*build, "--also", "torch-export", "--also", "onnx", "--also", "onnx"]) == 0
    assert made == ["torch-export", "onnx"]
    shown = capsys.readouterr().out
    assert "student.onnx (onnxruntime)" in shown
    assert "student.pt2 (torch.export)" in shown
    assert main(["inspect", "--bundle", str(tmp_path / "bundle")]) == 0
    assert "student.onnx" in capsys.readouterr().out


@pytest.mark.parametrize("output", [ONNX, TORCH_EXPORT], ids=lambda output: output.name)
def test_an_output_that_answers_otherwise_is_not_written(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: FurtherOutput
) -> None:
    monkeypatch.setattr("kuaixun.export.bundle.writer.make", leaning(outputs.make))
    with pytest.raises(GoldenCaseError, match=rf"golden case 1 of .* on the engine {output.file} .*logits differ by 1"):
        write_bundle(tmp_path / "bundle", checkpoint, also=[output])
    assert list(tmp_path.iterdir()) == []


def test_verify_refuses_an_output_of_another_student_and_one_that_is_none(
    copy: Path, whole: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(copy, {ONNX.file: leaning(outputs.make)(ONNX, whole.manifest.architecture, whole.weights)})
    assert main(["verify", "--bundle", str(copy)]) == GoldenCaseError.exit_code
    assert "on the engine student.onnx (onnxruntime): logits differ" in capsys.readouterr().err
    for output in ALL:
        sound = whole.read_file(output.file)
        for content in (b"", sound[: len(sound) // 2]):
            rewrite(copy, {ONNX.file: whole.read_file(ONNX.file)})
            rewrite(copy, {output.file: content})
            assert main(["verify", "--run-code", "--bundle", str(copy)]) == GoldenCaseError.exit_code
            assert f"{copy / output.file} is unusable" in capsys.readouterr().err
        rewrite(copy, {output.file: sound})


def leaning(make: Make) -> Make:
    """Makes the output of a student whose every logit is one too high."""

    def made(output: FurtherOutput, architecture: Architecture, weights: StudentWeights) -> bytes:
        return make(output, architecture, replace(weights, linear_bias=weights.linear_bias + 1))

    return made
