"""The torchscript engine: the student by torch, on the CPU or on CUDA, folded or convolutional."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from kuaixun.export.bundle.reader import TORCHSCRIPT_FILE, Bundle
from kuaixun.export.errors import EngineError
from kuaixun.export.student.folded import FoldedTextCNN
from kuaixun.export.student.tracing import from_torchscript_file, trace
from kuaixun.export.text.pipeline import Encoded


class TorchScriptEngine:
    """A TorchScript module on a device. Bit for bit the same in any batch where the module is the folded one."""

    def __init__(self, name: str, module: torch.jit.ScriptModule, device: torch.device, classes: int) -> None:
        self._name = f"{name} ({device.type})"
        self._module = module
        self._device = device
        self._classes = classes

    @property
    def name(self) -> str:
        """The engine and its device."""
        return self._name

    def logits(self, encoded: Encoded) -> NDArray[np.float64]:
        """See Engine.logits."""
        if not len(encoded):
            return np.empty((0, self._classes))
        with torch.inference_mode():
            ids = torch.from_numpy(encoded.ids).to(self._device).long()  # (n, tokens)
            logits: NDArray[np.float64] = self._module(ids).double().cpu().numpy()  # (n, classes)
        return logits


def open_folded(bundle: Bundle, device: str, threads: int | None) -> TorchScriptEngine:
    """The folded student: what serves. Folding takes well under a second."""
    target = _prepare(device, threads)
    module = trace(FoldedTextCNN(bundle.manifest.architecture, bundle.weights).eval()).to(target)
    return TorchScriptEngine("torchscript", module, target, len(bundle.manifest.labels))


def open_convolutional(bundle: Bundle, device: str, threads: int | None) -> TorchScriptEngine:
    """The traced convolutions of `student.pt`: the reference, many times slower."""
    target = _prepare(device, threads)
    module = from_torchscript_file(bundle.read_file(TORCHSCRIPT_FILE), target)
    return TorchScriptEngine("torchscript-convolutional", module, target, len(bundle.manifest.labels))


def _prepare(device: str, threads: int | None) -> torch.device:
    """Set torch up for the device named. Raises EngineError where it is not there."""
    if threads is not None:
        torch.set_num_threads(threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise EngineError("the device cuda was asked for and torch finds no CUDA GPU; use cpu or auto")
    # TF32 would round the reference's convolutions to ten bits.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return torch.device(device)
