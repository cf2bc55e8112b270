"""A teacher with its linear layers in 8-bit integers: how small it gets, and what that costs.

Dynamic quantisation: weights are rounded once, a scale for each tensor; inputs are rounded batch by batch. On the
processor alone. torch announces that torchao will take this over and still has it; torchao would be one more
dependency for one figure.
"""

from __future__ import annotations

import copy
import io
import warnings

import torch
from torch import nn

from kuaixun.trainer.teacher.classifiers import TeacherModel


def quantised(model: TeacherModel) -> TeacherModel:
    """A copy, on the CPU, whose linear layers compute in int8; embeddings stay as they are."""
    with warnings.catch_warnings():
        # Announcements of torchao, see above: of the module, and of the tensors that it makes.
        warnings.filterwarnings("ignore", "torch.ao.quantization is deprecated", DeprecationWarning)
        warnings.filterwarnings("ignore", "torch.quantize_per_tensor, torch.quantize_per_channel", UserWarning)
        from torch.ao.quantization import quantize_dynamic

        copied = copy.deepcopy(model).cpu().train(False)
        result: TeacherModel = quantize_dynamic(copied, {nn.Linear}, dtype=torch.qint8)  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    return result


def serialised_bytes(model: nn.Module) -> int:
    """The size of a module's state on disk."""
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return buffer.tell()
