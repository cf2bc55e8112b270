"""What a classifier promises of its predictions."""

from __future__ import annotations

import re
import sys
import tracemalloc
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kuaixun.export import NO_LABEL, Classifier, EngineError, open_classifier
from kuaixun.export.bundle.reader import Bundle
from kuaixun.export.engine import select, torchscript
from kuaixun.export.engine.interface import EngineChoice
from kuaixun.export.engine.select import open_engine
from kuaixun.export.engine.torchscript import CHUNK_TEXTS, TorchScriptEngine
from kuaixun.export.text.pipeline import Encoded

SERVING = [("native", "int8"), ("native", "bf16"), ("native", "fp32"), ("torchscript", "fp32")]


@pytest.fixture(scope="module", params=SERVING, ids="-".join)
def classifier(bundle_path: Path, request: pytest.FixtureRequest) -> Classifier:
    engine, precision = request.param
    return open_classifier(bundle_path, engine=engine, device="cpu", precision=precision)


@settings(deadline=None)
@given(st.lists(st.text(max_size=30), max_size=8))
def test_a_text_has_the_same_figures_in_any_company(classifier: Classifier, texts: list[str]) -> None:
    together = classifier.classify(texts)
    assert len(together) == len(texts)
    for row, text in enumerate(texts):
        alone = classifier.classify([text])
        assert together.label_ids[row] == alone.label_ids[0]
        assert together.confidences[row] == alone.confidences[0]
        assert together.scores[row].tolist() == alone.scores[0].tolist()


def test_what_cleans_to_nothing_has_no_label(classifier: Classifier) -> None:
    predictions = classifier.classify(["", "\u200b \ue000", "中国", "<br>"])
    assert (predictions.label_ids == NO_LABEL).tolist() == [True, True, False, True]
    assert predictions.confidences[[0, 1, 3]].tolist() == [0.0, 0.0, 0.0]
    assert predictions.scores[[0, 1, 3]].sum() == 0.0


def test_scores_are_probabilities_and_the_label_is_the_likeliest(classifier: Classifier) -> None:
    predictions = classifier.classify(["央行降准", "主队晋级", "新游戏"])
    assert np.abs(predictions.scores.sum(axis=1) - 1).max() < 1e-5
    assert predictions.label_ids.tolist() == predictions.scores.argmax(axis=1).tolist()
    assert predictions.confidences.tolist() == predictions.scores.max(axis=1).tolist()


def test_confidences_are_calibrated_by_the_bundles_temperature(classifier: Classifier) -> None:
    texts = ["央行降准"]
    logits = classifier.engine.logits(classifier.bundle.pipeline.encode(texts))[0]
    expected = np.exp(logits / 1.5) / np.exp(logits / 1.5).sum()
    assert np.abs(classifier.classify(texts).scores[0] - expected).max() <= 5.1e-7


def test_torch_takes_a_large_batch_in_chunks_and_gives_the_same_figures(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(bundle, EngineChoice("torchscript", "cpu"))
    texts = [f"央行第{number}次降准" if number % 7 else "" for number in range(2 * CHUNK_TEXTS + 5)]
    rows: list[int] = []
    logits = TorchScriptEngine.logits

    def counted(self: TorchScriptEngine, encoded: Encoded) -> NDArray[np.float64]:
        rows.append(len(encoded))
        return logits(self, encoded)

    monkeypatch.setattr(TorchScriptEngine, "logits", counted)
    chunked = engine.classify(texts)
    assert rows == [CHUNK_TEXTS, CHUNK_TEXTS, 5]
    monkeypatch.setattr(torchscript, "CHUNK_TEXTS", len(texts))
    whole = engine.classify(texts)
    assert rows[3:] == [len(texts)]
    assert np.array_equal(chunked.label_ids, whole.label_ids)
    assert np.array_equal(chunked.confidences, whole.confidences)
    assert np.array_equal(chunked.scores, whole.scores)


def test_of_a_long_text_native_keeps_no_more_than_it_reads(bundle_path: Path) -> None:
    """Python would keep its UTF-8 in the string, as long as that lives."""
    classifier = open_classifier(bundle_path, engine="native")
    cut = ["央行降准" * 75, "央行" * 149 + "\ud800\ud800"]  # 300 characters, which is all that is read
    long = [text + "降准\ud800" * 100_000 for text in cut] + ["降准" * 100_000]
    sizes = [sys.getsizeof(text) for text in long]
    tracemalloc.start()
    try:
        predictions = classifier.classify(long)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 100_000
    assert [sys.getsizeof(text) for text in long] == sizes
    assert predictions.scores[:2].tolist() == classifier.classify(cut).scores.tolist()


@pytest.mark.parametrize(
    ("engine", "device", "reason"),
    [
        ("abacus", "auto", "the engine 'abacus' is unknown"),
        ("auto", "tpu", "the device 'tpu' is unknown"),
        ("native", "cuda", "the native engine runs on the CPU"),
    ],
)
def test_an_unknown_engine_or_device_is_refused(bundle_path: Path, engine: str, device: str, reason: str) -> None:
    with pytest.raises(EngineError, match=reason):
        open_classifier(bundle_path, engine=engine, device=device)


def test_a_precision_that_the_engine_does_not_have_is_refused(bundle_path: Path) -> None:
    with pytest.raises(EngineError, match="the precision 'fp8' is unknown"):
        open_classifier(bundle_path, precision="fp8")
    with pytest.raises(EngineError, match="torchscript computes in fp32, not in int8"):
        open_classifier(bundle_path, engine="torchscript", precision="int8")


def test_auto_serves_natively_and_falls_back_to_torch_aloud(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(select, "_cuda_gpus", lambda: 0)
    assert open_classifier(bundle_path).engine.name.startswith("native (int8")
    monkeypatch.setattr(select, "_native_problem", lambda: select.NOT_BUILT)
    for _ in range(2):
        assert open_classifier(bundle_path).engine.name == "torchscript (cpu)"
    assert caplog.text.count("the native engine could not be built") == 1


@pytest.fixture
def unloadable_native(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module that was cut short in the native engine's place."""
    (tmp_path / f"native_cut_short{EXTENSION_SUFFIXES[0]}").write_bytes(b"\x7fELF")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(select, "_NATIVE_MODULE", "native_cut_short")
    monkeypatch.setattr(select, "_cuda_gpus", lambda: 0)
    select._native_problem.cache_clear()
    yield
    select._native_problem.cache_clear()


@pytest.mark.usefixtures("unloadable_native")
def test_a_native_engine_that_cannot_be_loaded_is_told_and_auto_falls_back(
    bundle_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told = r"installed and cannot be loaded: .*native_cut_short.*: file too short\. Build it anew"
    with pytest.raises(EngineError, match=told):
        open_classifier(bundle_path, engine="native")
    for _ in range(2):
        assert open_classifier(bundle_path).engine.name == "torchscript (cpu)"
        assert {choice.name for choice in select.present_engines()} == {"torchscript", "torchscript-convolutional"}
    assert len(re.findall(f"{told}.* Torch serves instead", caplog.text)) == 1
    assert len(re.findall(f"{told}.* It is left out", caplog.text)) == 1


def test_where_no_engine_can_run_the_error_says_what_to_install(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select, "_native_problem", lambda: select.NOT_BUILT)
    monkeypatch.setattr(select, "_torch_is_installed", lambda: False)
    with pytest.raises(EngineError, match=r"pip install --verbose .* or: pip install 'kuaixun\[torch\]'"):
        open_classifier(bundle_path)
    with pytest.raises(EngineError, match="no engine can run here"):
        select.present_engines()


def test_auto_prefers_a_gpu_that_torch_can_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "_cuda_gpus", lambda: 1)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert select._best("auto", "auto") == select._best("auto", "fp32") == "torchscript"
    assert select._best("cpu", "auto") == "native"
    assert {choice.device for choice in select.present_engines()} == {"cpu", "cuda"}


@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_a_precision_that_native_alone_has_is_served_natively_beside_a_gpu(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    monkeypatch.setattr(select, "_cuda_gpus", lambda: 1)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert open_classifier(bundle_path, precision=precision).engine.name.startswith(f"native ({precision}")


def test_a_gpu_that_torch_cannot_use_leaves_auto_to_native_and_is_said_once(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(select, "_cuda_gpus", lambda: 1)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for _ in range(2):
        assert open_classifier(bundle_path).engine.name.startswith("native (int8")
    assert caplog.text.count("torch cannot use it") == 1
    assert {choice.device for choice in select.present_engines()} == {"cpu"}


def test_cuda_that_is_not_there_is_refused(bundle_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(EngineError, match="finds no CUDA GPU"):
        open_classifier(bundle_path, engine="torchscript", device="cuda")
