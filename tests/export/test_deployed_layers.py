"""Tables in int8: rounded once, worth the same numbers in every form, left alone when a module changes precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kuaixun.export.bundle.file_names import TORCHSCRIPT_FILE
from kuaixun.export.bundle.reader import Bundle
from kuaixun.export.student.scaled_int8 import ScaledInt8
from kuaixun.export.student.tracing import convolutional_module, from_torchscript_file
from kuaixun.export.student.weights import StudentWeights

TABLES = {"embedding.steps": torch.int8, "ngrams.steps": torch.int8, "ngrams.owners": torch.int16}


@pytest.mark.parametrize("axis", [0, 1])
def test_rounding_is_off_by_half_a_step_at_most_and_keeps_the_largest(axis: int) -> None:
    numbers = np.random.default_rng(axis).standard_t(3, size=(50, 20)).astype(np.float32)
    numbers *= np.exp(np.random.default_rng(2).normal(size=numbers.shape[1 - axis])).reshape(
        (-1, 1) if axis else (1, -1)
    )
    table = ScaledInt8.rounded(numbers, axis=axis)

    assert table.steps.dtype == np.int8
    assert np.array_equal(table.scales, table.scales.astype(np.float16))
    assert (np.abs(table.steps).max(axis=axis) == 127).all()
    assert (np.abs(table.numbers - numbers) <= 0.6 * table.scales).all()  # a scale is itself rounded, by 1 in 2048


@given(st.integers(-128, 127), st.floats(width=16, min_value=2**-24, allow_infinity=False, allow_nan=False))
def test_a_step_times_its_scale_is_exact_in_single_precision(step: int, scale: float) -> None:
    table = ScaledInt8(np.array([[step]], dtype=np.int8), np.array([[scale]], dtype=np.float32))
    assert float(table.numbers[0, 0]) == step * scale


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan, 1e30])
@pytest.mark.parametrize("axis", [0, 1])
def test_what_int8_cannot_scale_leaves_a_scale_that_tells(number: float, axis: int) -> None:
    table = ScaledInt8.rounded(np.array([[0.5, number], [1.0, 2.0]], dtype=np.float32), axis=axis)
    assert np.isfinite(table.scales).ravel().tolist() == ([True, False] if axis == 0 else [False, True])


def test_a_table_of_zeros_is_sound() -> None:
    table = ScaledInt8.rounded(np.zeros((3, 2), dtype=np.float32), axis=1)
    assert (table.scales == 1).all()
    assert not table.numbers.any()


def test_deployed_layers_answer_with_the_rounded_tables(bundle: Bundle) -> None:
    weights = bundle.weights
    module = convolutional_module(bundle.manifest.architecture, weights)
    ids = torch.arange(12).reshape(3, 4)
    assert np.array_equal(module.embedding(ids).numpy(), weights.embedding.numbers[ids.numpy()])


def test_a_deployed_student_takes_no_table_of_its_own_in_single_precision(bundle: Bundle) -> None:
    state = convolutional_module(bundle.manifest.architecture, bundle.weights).state_dict()
    assert {name: tensor.dtype for name, tensor in state.items() if tensor.dtype != torch.float32} == TABLES
    assert max(tensor.numel() for name, tensor in state.items() if name not in TABLES) < 16 * 12 * 5 + 1


def test_changing_the_precision_of_student_pt_leaves_tables_alone_and_scales_exact(bundle: Bundle) -> None:
    module = from_torchscript_file(bundle.read_file(TORCHSCRIPT_FILE), torch.device("cpu"))
    ids = torch.randint(1, 60, (5, 9), generator=torch.Generator().manual_seed(3))
    before = module(ids)
    state = module.half().float().state_dict()
    assert {name: state[name].dtype for name in TABLES} == TABLES
    assert np.array_equal(state["embedding.scales"].numpy(), bundle.weights.embedding.scales)
    assert torch.equal(module(ids), before)
    assert module.double()(ids).dtype == torch.float64


def test_the_file_holds_the_same_numbers_as_the_checkpoint_rounds_to(bundle: Bundle) -> None:
    content = bundle.weights.to_safetensors(bundle.manifest.architecture)
    read = StudentWeights.from_safetensors(content, bundle.manifest.architecture, classes=3)
    assert read.ngrams is not None
    assert bundle.weights.ngrams is not None
    assert np.array_equal(read.embedding.numbers, bundle.weights.embedding.numbers)
    assert np.array_equal(read.ngrams.scores.numbers, bundle.weights.ngrams.scores.numbers)
