"""int8 as Python reckons with it is int8 as C++ computes it, and scales are those that the texts ask for."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray

from kuaixun.export._native import NativeClassifier, NativeError
from kuaixun.export.benchmark import drawn_texts
from kuaixun.export.bundle.file_names import WEIGHTS_FILE
from kuaixun.export.bundle.model_card import model_card
from kuaixun.export.bundle.reader import Bundle, default_bundle_path, read_bundle
from kuaixun.export.bundle.writer import write_bundle
from kuaixun.export.checkpoint import Checkpoint
from kuaixun.export.classifier import open_classifier
from kuaixun.export.engine.interface import EngineChoice
from kuaixun.export.engine.select import open_engine
from kuaixun.export.errors import BundleError
from kuaixun.export.student.int8_rows import FEATURE_STEPS, best_scales, features_in_steps, rounded_rows, widest_scales
from kuaixun.export.student.quantisation import logits_in, with_best_scales
from kuaixun.export.student.table_rows import Windows, largest_sums
from kuaixun.export.student.weights import StudentWeights
from kuaixun.export.text.pipeline import Encoded
from kuaixun.schemas.manifest import PrecisionName
from tests.export.hostile_bundles import rewrite, rewrite_at

TEXTS, TOKENS = 200, 20


def random_texts(vocabulary_size: int, seed: int = 0) -> Encoded:
    """Texts of 1 to 20 tokens, the frequent ones ever so frequent."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, TOKENS, endpoint=True, size=TEXTS)
    ids = (1 + (vocabulary_size - 1) * generator.random((TEXTS, TOKENS)) ** 3).astype(np.int32)
    ids[np.arange(TOKENS) >= lengths[:, None]] = 0
    return Encoded(ids, lengths)


def finer(weights: StudentWeights, factor: float) -> StudentWeights:
    scales = tuple((scales * factor).astype(np.float32) for scales in weights.convolution_scales)
    return dataclasses.replace(weights, convolution_scales=scales)


@pytest.fixture(scope="module", params=[0.5, 1.0], ids=["saturating", "nothing cut off"])
def scaled_bundle(
    checkpoint: Checkpoint, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    architecture = checkpoint.record.architecture
    weights = finer(StudentWeights.from_trained(checkpoint.state, architecture), request.param)
    scales = {f"convolutions.{index}.scales": scales for index, scales in enumerate(weights.convolution_scales)}
    path = tmp_path_factory.mktemp("scaled") / "bundle"
    write_bundle(path, Checkpoint(checkpoint.record, checkpoint.pipeline, {**checkpoint.state, **scales}))
    return read_bundle(path)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-6), ("bf16", 1e-5), ("int8", 1e-9)])
def test_each_precision_reckoned_in_python_is_what_cpp_computes(
    scaled_bundle: Bundle, precision: PrecisionName, tolerance: float
) -> None:
    architecture = scaled_bundle.manifest.architecture
    texts = random_texts(architecture.vocabulary_size)
    native = open_engine(scaled_bundle, EngineChoice("native", "cpu", precision)).logits(texts)

    reckoned = logits_in(precision, scaled_bundle.weights, architecture, texts.ids)

    assert np.abs(reckoned - native).max() < tolerance


def test_the_shipped_tables_are_the_same_numbers_in_python_and_cpp() -> None:
    bundle = read_bundle(default_bundle_path())
    architecture = bundle.manifest.architecture
    texts = bundle.pipeline.encode(drawn_texts(bundle.pipeline.vocabulary, count=500))
    native = open_engine(bundle, EngineChoice("native", "cpu", "int8")).logits(texts)

    assert np.abs(logits_in("int8", bundle.weights, architecture, texts.ids) - native).max() < 1e-9


def int8_error(
    rows: NDArray[np.float32], bias: NDArray[np.float32], scales: NDArray[np.float32], windows: Windows
) -> NDArray[np.float64]:
    """The squared error (filters,) that int8 makes of the features of all texts."""
    exact = np.maximum(largest_sums(rows, windows) + bias, 0)  # (texts, filters)
    rounded = features_in_steps(rounded_rows(rows, scales), bias, scales, windows) * (scales / FEATURE_STEPS)
    error: NDArray[np.float64] = np.square(rounded - exact).sum(axis=0)
    return error


@pytest.mark.parametrize("width", [2, 5])
def test_the_scales_chosen_cut_off_what_the_texts_do_not_hold(width: int) -> None:
    generator = np.random.default_rng(1)
    rows = generator.normal(size=(width, 50, 8)).astype(np.float32)  # (width, vocabulary, filters)
    rows[:, 0] = 0
    rows[:, 49] = 10  # a character that no text holds
    bias = generator.normal(size=8).astype(np.float32)
    bias[7] = -1e3  # a filter that no text stirs
    texts = random_texts(49).ids
    windows = Windows.of(texts, width)

    widest, best = widest_scales(rows, bias), best_scales(rows, bias, texts)

    assert (best[:7] < 0.6 * widest[:7]).all()
    assert best[7] == widest[7]
    assert int8_error(rows, bias, best, windows).sum() < 0.3 * int8_error(rows, bias, widest, windows).sum()


def test_the_widest_scales_cut_nothing_off() -> None:
    generator = np.random.default_rng(2)
    for width in (1, 2, 4, 5, 16):
        rows = generator.normal(size=(width, 30, 8)).astype(np.float32)  # (width, vocabulary, filters)
        rows[:, 0] = 0
        bias = np.zeros(8, dtype=np.float32)
        scales = widest_scales(rows, bias)
        largest = rows.argmax(axis=1)  # (width, filters): the characters of each filter's largest sum
        for filter_ in range(8):
            windows = Windows.of(largest[None, :, filter_].astype(np.int32), width)
            features = features_in_steps(rounded_rows(rows, scales), bias, scales, windows)[:, filter_] / FEATURE_STEPS
            exact = largest_sums(rows, windows)[:, filter_]
            assert np.abs(features * scales[filter_] - exact).max() <= (width / 2 + 0.01) * scales[filter_]


def test_scales_for_a_student_that_does_nothing_are_sound() -> None:
    rows, bias = np.zeros((2, 9, 3), dtype=np.float32), np.array([0, 0, -4], dtype=np.float32)
    for scales in (widest_scales(rows, bias), best_scales(rows, bias, random_texts(9).ids)):
        assert np.isfinite(scales).all()
        assert (scales > 0).all()
        assert abs(bias[2]) / scales[2] < 2047


def test_chosen_scales_stand_in_the_bundle(checkpoint: Checkpoint, tmp_path: Path) -> None:
    architecture = checkpoint.record.architecture
    texts = random_texts(architecture.vocabulary_size)
    chosen = with_best_scales(StudentWeights.from_trained(checkpoint.state, architecture), texts.ids)
    scales = {f"convolutions.{index}.scales": scales for index, scales in enumerate(chosen.convolution_scales)}
    write_bundle(
        tmp_path / "bundle", Checkpoint(checkpoint.record, checkpoint.pipeline, {**checkpoint.state, **scales})
    )

    read = read_bundle(tmp_path / "bundle").weights

    for ours, theirs in zip(chosen.convolution_scales, read.convolution_scales, strict=True):
        assert np.array_equal(ours, theirs)
    assert not np.array_equal(
        read.convolution_scales[0], StudentWeights.from_trained(checkpoint.state, architecture).convolution_scales[0]
    )


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (np.nan, "not finite|no positive number"),
        (np.inf, "not finite|no positive number"),
        (0.0, "no positive number"),
        (-1.0, "no positive number"),
        (1e-39, "no positive number"),
        (1e-6, "too fine for the filter's bias"),
    ],
)
def test_scales_that_folded_rows_cannot_have_are_refused_by_both_runtimes(
    bundle_path: Path, tmp_path: Path, number: float, reason: str
) -> None:
    copy = Path(shutil.copytree(bundle_path, tmp_path / "copy"))
    tensors: dict[str, NDArray[Any]] = safetensors.numpy.load((copy / WEIGHTS_FILE).read_bytes())
    tensors["convolution_3_bias"][5] = 0.5
    tensors["convolution_3_scales"][5] = number
    rewrite(copy, {WEIGHTS_FILE: safetensors.numpy.save(tensors)})
    with pytest.raises(BundleError, match=f"convolution_3_scales.*({reason})"):
        read_bundle(copy)
    with pytest.raises(NativeError, match=f"convolution_3_scales.*({reason})"):
        NativeClassifier(bytes(copy), "fp32")


@pytest.mark.parametrize("name", ["embedding_scales", "ngram_scales"])
@pytest.mark.parametrize("number", [np.nan, np.inf, 0.0, -1.0])
def test_scales_that_stored_tables_cannot_have_are_refused_by_both_runtimes(
    bundle_path: Path, tmp_path: Path, name: str, number: float
) -> None:
    copy = Path(shutil.copytree(bundle_path, tmp_path / "copy"))
    tensors: dict[str, NDArray[Any]] = safetensors.numpy.load((copy / WEIGHTS_FILE).read_bytes())
    tensors[name].flat[2] = number
    rewrite(copy, {WEIGHTS_FILE: safetensors.numpy.save(tensors)})
    with pytest.raises(BundleError, match=f"{name} holds (numbers that are not finite|what is no positive number)"):
        read_bundle(copy)
    with pytest.raises(NativeError, match=f"{name} holds (numbers that are not finite|what is no positive number)"):
        NativeClassifier(bytes(copy), "fp32")


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_auto_is_the_precision_that_the_manifest_names(bundle_path: Path, tmp_path: Path, precision: str) -> None:
    copy = Path(shutil.copytree(bundle_path, tmp_path / "copy"))
    rewrite_at(copy, ("precision", "default"), precision)
    assert open_classifier(copy, engine="native").engine.name.startswith(f"native ({precision}")


def test_the_card_names_the_default_and_what_each_precision_costs(bundle: Bundle) -> None:
    record = msgspec.structs.replace(bundle.manifest.precision, default="bf16")
    card = model_card(msgspec.structs.replace(bundle.manifest, precision=record), "")
    assert "tables in bf16 unless told otherwise" in card
    assert "| int8 | -0.02 points | 99.94 % | 0.1 |" in card
