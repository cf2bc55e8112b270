"""The student as TorchScript: the traced convolutional graph, which is the reference, and its file `student.pt`.

torch deprecates TorchScript since 2.11; it is one output format among several, and only this module and the
torchscript engine know of it.
"""

from __future__ import annotations

import io
import warnings
from typing import cast

import torch

from kuaixun.export.student.deployed_layers import FoldedNgramScores, ScaledEmbedding
from kuaixun.export.student.textcnn import TextCNN
from kuaixun.export.student.weights import StudentWeights
from kuaixun.schemas.manifest import Architecture

# Wider than any window and deeper than one row, so that no size is baked in by chance; the ids are real tokens.
EXAMPLE_SHAPE = (3, 24)


def convolutional_module(architecture: Architecture, weights: StudentWeights) -> TextCNN:
    """The deployed weights in the module that was trained, its tables in int8, all else float32; evaluation mode."""
    with torch.device("meta"):  # nothing is drawn, and nothing allocated, that the weights would only replace
        module = TextCNN(architecture, classes=len(weights.linear_bias))
    module.add_module("embedding", ScaledEmbedding(weights.embedding))
    if architecture.ngrams is not None and weights.ngrams is not None:
        module.add_module("ngrams", FoldedNgramScores(architecture.ngrams, weights.ngrams))
    state = {
        "linear.weight": weights.linear,
        "linear.bias": weights.linear_bias,
    }
    for index, (weight, bias) in enumerate(zip(weights.convolutions, weights.convolution_biases, strict=True)):
        state |= {f"convolutions.{index}.weight": weight, f"convolutions.{index}.bias": bias}
    tensors = module.state_dict() | {name: torch.from_numpy(array) for name, array in state.items()}
    module.load_state_dict(tensors, assign=True)
    return module.eval().requires_grad_(False)


def trace(module: torch.nn.Module) -> torch.jit.ScriptModule:
    """Trace a student: ids (batch, tokens) int64 → logits (batch, classes), any batch, any number of tokens from 1."""
    generator = torch.Generator().manual_seed(0)
    example = torch.randint(3, 4, EXAMPLE_SHAPE, generator=generator)  # (3, 24)
    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        warnings.filterwarnings("ignore", message="`torch.jit.trace", category=DeprecationWarning)
        traced = torch.jit.trace(module, example, check_trace=False)  # type: ignore[no-untyped-call]
        return cast(torch.jit.ScriptModule, traced)


def to_torchscript_file(architecture: Architecture, weights: StudentWeights) -> bytes:
    """The file `student.pt`: the traced graph, its tables in int8, all else in half precision, which it is exact in.

    Whoever loads it brings them back to single precision with `.float()`. C++ says `module.to(torch::kFloat)`, which
    makes floats of the tables too: the same numbers, in more memory.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
        torch.jit.save(trace(convolutional_module(architecture, weights)).half(), buffer)
    return buffer.getvalue()


def from_torchscript_file(content: bytes, device: torch.device) -> torch.jit.ScriptModule:
    """Load `student.pt` in single precision. Only content whose hash was checked may come here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
        module: torch.jit.ScriptModule = torch.jit.load(  # type: ignore[no-untyped-call]
            io.BytesIO(content), map_location=device
        )
    return module.float().eval()
