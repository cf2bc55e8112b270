"""The student as a `torch.export` program: the convolutional graph, from which ONNX is made too.

Convolutions, since their weights are a tenth of the folded tables and other runtimes are quick at them.
"""

from __future__ import annotations

import io

import torch
from torch import nn

from kuaixun.export.engine.interface import Scorer
from kuaixun.export.further.quiet_torch import quiet_torch
from kuaixun.export.further.torch_scorer import TorchScorer
from kuaixun.export.student.tracing import EXAMPLE_SHAPE, convolutional_module
from kuaixun.export.student.weights import StudentWeights
from kuaixun.export.text.vocabulary import UNK
from kuaixun.schemas.manifest import Architecture


def exported_program(architecture: Architecture, weights: StudentWeights) -> torch.export.ExportedProgram:
    """Export the student: ids (batch, tokens) int64 → logits (batch, classes) float32, both sizes from 1."""
    return export_module(convolutional_module(architecture, weights))


def export_module(module: nn.Module) -> torch.export.ExportedProgram:
    """Export a student for any batch and any number of tokens from 1."""
    sizes = {0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("tokens", min=1)}
    return torch.export.export(module, (torch.full(EXAMPLE_SHAPE, UNK),), dynamic_shapes={"ids": sizes})


def to_torch_export_file(architecture: Architecture, weights: StudentWeights) -> bytes:
    """The file `student.pt2`."""
    buffer = io.BytesIO()
    with quiet_torch():
        torch.export.save(exported_program(architecture, weights), buffer)
    return buffer.getvalue()


def open_torch_export_file(content: bytes) -> Scorer:
    """Load `student.pt2`. Loading can run code: only what one's own build made may come here."""
    try:
        with quiet_torch():
            program = torch.export.load(io.BytesIO(content))
    # torch tells of a broken archive by errors of any kind.
    except Exception as error:
        raise ValueError(f"torch.export cannot load it: {error}") from error
    return TorchScorer("student.pt2 (torch.export)", program.module())
