"""A teacher with its linear layers in 8-bit integers: how small it gets, and what that costs.

Dynamic quantisation: weights are rounded once, a scale for each tensor; inputs are rounded batch by batch. On the
processor alone. torch announces that torchao will take this over and still has it; torchao would be one more
dependency for one figure.
"""

from __future__ import annotations

import copy
import io
import warnings
from dataclasses import dataclass

import torch
from torch import nn

from kuaixun.trainer.teacher.classifiers import TeacherModel


@dataclass(frozen=True, slots=True, eq=False)
class Quantised:
    """A teacher on the CPU; `share` of its weights, those of `layers` linear layers, are in int8."""

    model: TeacherModel
    layers: int
    share: float


def quantised(model: TeacherModel) -> Quantised:
    """A copy whose linear layers compute in int8; embeddings stay as they are, and so does what shares their weights.

    In int8 an output layer that is tied to the embeddings would be one more table beside them.
    """
    copied = copy.deepcopy(model).cpu().train(False)
    _make_linear(copied)
    linear = _untied_linear(copied)
    whole = sum(parameter.numel() for parameter in copied.parameters())
    share = sum(layer.weight.numel() for layer in linear.values()) / whole
    with warnings.catch_warnings():
        # Announcements of torchao, see above: of the module, and of the tensors that it makes.
        warnings.filterwarnings("ignore", "torch.ao.quantization is deprecated", DeprecationWarning)
        warnings.filterwarnings("ignore", "torch.quantize_per_tensor, torch.quantize_per_channel", UserWarning)
        from torch.ao.quantization import quantize_dynamic

        result: TeacherModel = quantize_dynamic(copied, set(linear), dtype=torch.qint8)  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    return Quantised(result, len(linear), share)


def _make_linear(model: nn.Module) -> None:
    """Put a linear layer in the place of each Conv1D, as GPT-2 names its own, which torch would leave as it is."""
    from transformers.pytorch_utils import Conv1D

    for name, module in list(model.named_modules()):
        if isinstance(module, Conv1D):
            inputs, outputs = module.weight.shape
            linear = nn.Linear(inputs, outputs)
            linear.weight = nn.Parameter(module.weight.detach().T.contiguous())  # (outputs, inputs)
            linear.bias = nn.Parameter(module.bias.detach())
            model.set_submodule(name, linear)


def _untied_linear(model: nn.Module) -> dict[str, nn.Linear]:
    """The linear layers by name, without those whose weights are an embedding's."""
    embedded = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and id(module.weight) not in embedded
    }


def serialised_bytes(model: nn.Module) -> int:
    """The size of a module's state on disk."""
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return buffer.tell()
