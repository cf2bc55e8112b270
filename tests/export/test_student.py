"""The student's definition in plain numpy, and that each form of it computes just that."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kuaixun.export.bundle.file_names import TORCHSCRIPT_FILE
from kuaixun.export.bundle.reader import Bundle
from kuaixun.export.engine.torchscript import TorchScriptEngine
from kuaixun.export.student.folded import FoldedTextCNN
from kuaixun.export.student.ngrams import FINALISER, MULTIPLIERS, NOBODY, OWNER_SHIFT, ngram_hashes, owned_buckets
from kuaixun.export.student.textcnn import TextCNN
from kuaixun.export.student.tracing import convolutional_module, from_torchscript_file, trace
from kuaixun.export.student.weights import StudentWeights
from kuaixun.export.text.vocabulary import PAD
from kuaixun.schemas.manifest import Architecture, NgramBranch

token_rows = st.lists(st.lists(st.integers(1, 60), max_size=12), min_size=1, max_size=6)


def hash_by_hand(gram: tuple[int, ...]) -> int:
    mixed = (
        sum(token * factor for token, factor in zip(gram, MULTIPLIERS, strict=False)) + len(gram) * MULTIPLIERS[3]
    ) % 2**32
    mixed = ((mixed ^ (mixed >> 15)) * FINALISER) % 2**32
    return mixed ^ (mixed >> 12)


def logits_by_hand(tokens: list[int], weights: StudentWeights, architecture: Architecture) -> NDArray[np.float64]:
    """One text, one window at a time, in double precision."""
    features: list[NDArray[np.float64]] = []
    embedding = weights.embedding.numbers
    for width, kernel, bias in zip(architecture.widths, weights.convolutions, weights.convolution_biases, strict=True):
        best = np.zeros(architecture.filters)
        for start in range(len(tokens)):
            window = embedding[(tokens + [PAD] * width)[start : start + width]].astype(float)  # (width, size)
            best = np.maximum(best, np.einsum("ws,fsw->f", window, kernel.astype(float)) + bias)
        features.append(best)
    logits = weights.linear.astype(float) @ np.concatenate(features) + weights.linear_bias
    if weights.ngrams is not None and architecture.ngrams is not None:
        for order in architecture.ngrams.orders:
            for start in range(len(tokens) - order + 1):
                gram = tuple(tokens[start : start + order])
                upper, bucket = hash_by_hand(gram) >> 17, hash_by_hand(gram) % 2**architecture.ngrams.bucket_bits
                if weights.ngrams.owners[bucket] == upper:
                    logits = logits + weights.ngrams.scores.numbers[bucket]
    return np.asarray(logits)


def as_batch(rows: list[list[int]], extra_padding: int = 0) -> torch.Tensor:
    width = max(1, max(map(len, rows))) + extra_padding
    return torch.tensor([row + [PAD] * (width - len(row)) for row in rows])


@pytest.fixture(scope="module")
def folded(bundle: Bundle) -> torch.jit.ScriptModule:
    return trace(FoldedTextCNN(bundle.manifest.architecture, bundle.weights).eval())


@pytest.fixture(scope="module")
def reference(bundle: Bundle) -> torch.jit.ScriptModule:
    return from_torchscript_file(bundle.read_file(TORCHSCRIPT_FILE), torch.device("cpu"))


@settings(deadline=None)
@given(token_rows, st.integers(0, 5))
def test_traced_and_folded_compute_the_definition_for_any_batch_and_padding(
    bundle: Bundle,
    reference: torch.jit.ScriptModule,
    folded: torch.jit.ScriptModule,
    rows: list[list[int]],
    padding: int,
) -> None:
    by_hand = np.stack([logits_by_hand(row, bundle.weights, bundle.manifest.architecture) for row in rows])
    batch = as_batch(rows, padding)
    with torch.no_grad():
        assert np.abs(reference(batch).numpy() - by_hand).max() < 1e-4
        assert np.abs(folded(batch).numpy() - by_hand).max() < 1e-4


@settings(deadline=None)
@given(token_rows, st.integers(0, 5))
def test_folded_logits_are_the_same_bits_in_every_batch(
    folded: torch.jit.ScriptModule, rows: list[list[int]], padding: int
) -> None:
    with torch.no_grad():
        together = folded(as_batch(rows, padding)).float()
        alone = torch.cat([folded(as_batch([row])) for row in rows]).float()
    assert torch.equal(together, alone)


@pytest.mark.parametrize("slice_filters", [1, 5, 16, 1000])
def test_how_the_filters_are_sliced_changes_no_logit(
    bundle: Bundle, folded: torch.jit.ScriptModule, slice_filters: int
) -> None:
    sliced = FoldedTextCNN(bundle.manifest.architecture, bundle.weights, slice_filters=slice_filters).eval()
    ids = torch.randint(
        1, bundle.manifest.architecture.vocabulary_size, (9, 7), generator=torch.Generator().manual_seed(2)
    )
    with torch.no_grad():
        assert torch.equal(sliced(ids), folded(ids))


def test_texts_go_through_in_groups_of_like_length_and_come_back_in_order(
    bundle: Bundle, folded: torch.jit.ScriptModule
) -> None:
    shapes: list[tuple[int, ...]] = []

    def noted(ids: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(ids.shape))
        logits: torch.Tensor = folded(ids)
        return logits

    manifest, cpu = bundle.manifest, torch.device("cpu")
    engine = TorchScriptEngine("grouped", noted, cpu, bundle.pipeline, manifest.temperature, group_tokens=40)
    texts = ["央行降准", "", "主队晋级决赛，新游戏上线" * 2, "股", "房价", "\u200b"] * 7
    encoded = bundle.pipeline.encode(texts)
    together = engine.logits(encoded)
    alone = np.concatenate([engine.logits(bundle.pipeline.encode([text])) for text in texts])
    assert np.array_equal(together.astype(np.float32), alone.astype(np.float32))
    groups = shapes[: -len(texts)]
    assert sum(rows for rows, _ in groups) == len(texts)
    assert len(groups) > 3
    # Seven empty texts and four of each other length: a group mixes neighbouring lengths at most.
    padding = sum(rows * tokens for rows, tokens in groups) - int((encoded.ids != PAD).sum())
    assert padding < encoded.ids.size // 4
    assert {tokens for _, tokens in groups} >= {4, encoded.ids.shape[1]}


def test_folding_the_ngrams_is_exact_but_for_rounding(bundle: Bundle) -> None:
    """The trained form has a hidden layer; deployed, a bucket is a row of class scores."""
    architecture = Architecture(
        vocabulary_size=50, embedding_size=4, filters=3, ngrams=NgramBranch(bucket_bits=6, size=5)
    )
    torch.manual_seed(3)
    trained = TextCNN(architecture, 4).eval()
    assert trained.ngrams is not None
    ids = torch.randint(1, 50, (7, 9), generator=torch.Generator().manual_seed(1))
    hashes = ngram_hashes(ids, trained.ngrams.branch)
    trained.ngrams.owners[hashes[hashes >= 0] % 64] = (hashes[hashes >= 0] >> OWNER_SHIFT).short()
    state = {name: tensor.numpy() for name, tensor in trained.state_dict().items()}
    deployed = convolutional_module(architecture, StudentWeights.from_trained(state, architecture))
    with torch.no_grad():
        assert (trained(ids) - deployed(ids)).abs().max() < 2e-2  # int8 keeps two digits


def test_hashes_are_those_of_the_written_definition() -> None:
    ids = torch.tensor([[5, 9, 1048575, 7], [4, PAD, PAD, PAD]])
    hashes = ngram_hashes(ids, NgramBranch(orders=(2, 3), bucket_bits=20)).tolist()
    grams = [(5, 9), (9, 1048575), (1048575, 7), None, (5, 9, 1048575), (9, 1048575, 7), None, None]
    assert hashes[0] == [-1 if gram is None else hash_by_hand(gram) for gram in grams]
    assert hashes[1] == [-1] * 8


def test_a_bucket_serves_its_owner_and_nobody_else() -> None:
    owners = torch.tensor([NOBODY, 6, NOBODY, NOBODY], dtype=torch.int16)
    owner, rival, elsewhere, no_ngram = 6 << OWNER_SHIFT | 1, 7 << OWNER_SHIFT | 1, 6 << OWNER_SHIFT | 2, -1
    assert owned_buckets(torch.tensor([[owner, rival, elsewhere, no_ngram]]), owners).tolist() == [[1, 4, 4, 4]]


def test_ngram_training_gradients_reach_the_owners_alone() -> None:
    architecture = Architecture(
        vocabulary_size=50, embedding_size=4, filters=3, ngrams=NgramBranch(bucket_bits=6, size=5)
    )
    module = TextCNN(architecture, 4)
    assert module.ngrams is not None
    ids = torch.tensor([[3, 4, 5, PAD, PAD]])
    first, *_ = ngram_hashes(ids, module.ngrams.branch)[0].tolist()
    module.ngrams.owners[first % 64] = first >> OWNER_SHIFT
    module(ids).sum().backward()
    gradient = module.ngrams.table.grad
    assert gradient is not None
    assert gradient.abs().sum(dim=1).nonzero().flatten().tolist() == [first % 64]


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("embedding_steps", lambda tensor: tensor[:-1], r"embedding_steps is int8 \(\d+, 12\), the architecture wants"),
        ("ngram_steps", lambda tensor: tensor.astype(np.int16), "ngram_steps is int16"),
        (
            "embedding_scales",
            lambda tensor: tensor * np.float16(0),
            "embedding_scales holds what is no positive number",
        ),
        ("ngram_scales", lambda tensor: -tensor, "ngram_scales holds what is no positive number"),
        ("ngram_scales", lambda tensor: tensor * np.float16(np.inf), "ngram_scales holds numbers that are not finite"),
        ("linear", lambda tensor: tensor * np.float16(np.nan), "linear holds numbers that are not finite"),
        ("linear_bias", lambda tensor: tensor.astype(np.float32), "linear_bias is float32"),
        ("embedding_steps", lambda tensor: tensor + np.int8(1), "the embedding of PAD is not zero"),
        ("ngram_steps", None, "the tensors are"),
    ],
)
def test_weights_that_do_not_fit_are_refused(bundle: Bundle, name: str, change: object, reason: str) -> None:
    import safetensors.numpy

    architecture = bundle.manifest.architecture
    tensors = safetensors.numpy.load(bundle.weights.to_safetensors(architecture))
    if callable(change):
        tensors[name] = np.ascontiguousarray(change(tensors[name]))
    else:
        del tensors[name]
    with pytest.raises(ValueError, match=reason):
        StudentWeights.from_safetensors(safetensors.numpy.save(tensors), architecture, classes=3)
    with pytest.raises(ValueError, match="not a safetensors file"):
        StudentWeights.from_safetensors(b"nothing of the kind", architecture, classes=3)
