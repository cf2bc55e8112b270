"""The student as ONNX: for onnxruntime, TensorRT, OpenVINO and whatever else reads it."""

from __future__ import annotations

from typing import cast

import torch
import torch.onnx

from kuaixun.export.further.exported_program import exported_program
from kuaixun.export.further.onnx_session import INPUT, OUTPUT
from kuaixun.export.further.quiet_torch import quiet_torch
from kuaixun.export.student.weights import StudentWeights
from kuaixun.schemas.manifest import Architecture


def to_onnx_file(architecture: Architecture, weights: StudentWeights) -> bytes:
    """The file `student.onnx`: `ids` (batch, tokens) int64 → `logits` (batch, classes) float32, weights inside."""
    program = exported_program(architecture, weights)
    with quiet_torch():
        model = torch.onnx.export(
            program, input_names=[INPUT], output_names=[OUTPUT], external_data=False, verbose=False
        )
    # None is what it returns where it is given a file to write.
    content: bytes = cast(torch.onnx.ONNXProgram, model).model_proto.SerializeToString()
    return content
