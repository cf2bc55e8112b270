"""The torchscript engine: the student by torch, on the CPU or on CUDA, folded or convolutional."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from kuaixun.export.bundle.reader import TORCHSCRIPT_FILE, Bundle
from kuaixun.export.engine.interface import EngineChoice
from kuaixun.export.errors import EngineError
from kuaixun.export.predictions import Predictions, predictions_from
from kuaixun.export.student.folded import FoldedTextCNN
from kuaixun.export.student.tracing import from_torchscript_file, trace
from kuaixun.export.text.pipeline import Encoded, TextPipeline


class TorchScriptEngine:
    """A TorchScript module on a device, behind Python's text pipeline.

    Bit for bit the same in any batch where the module is the folded one. `temperature` is the bundle's calibration.
    """

    def __init__(
        self,
        name: str,
        module: torch.jit.ScriptModule,
        device: torch.device,
        pipeline: TextPipeline,
        temperature: float,
    ) -> None:
        self._name = f"{name} ({device.type})"
        self._module = module
        self._device = device
        self._pipeline = pipeline
        self._temperature = temperature

    @property
    def name(self) -> str:
        """The engine and its device."""
        return self._name

    @property
    def logit_tolerance(self) -> float:
        """Single precision: other orders of addition, on other hardware; logits reach about ten."""
        return 1e-3

    def classify(self, texts: Sequence[str]) -> Predictions:
        """See Engine.classify."""
        encoded = self._pipeline.encode(texts)
        return predictions_from(self.logits(encoded), encoded.lengths, self._temperature)

    def logits(self, encoded: Encoded) -> NDArray[np.float64]:
        """See Engine.logits."""
        with torch.inference_mode():
            # A row of padding beside them lets an empty batch through the graph.
            ids = torch.from_numpy(np.pad(encoded.ids, ((0, 1), (0, 0)))).to(self._device).long()  # (n + 1, tokens)
            logits: NDArray[np.float64] = self._module(ids)[:-1].double().cpu().numpy()  # (n, classes)
        return logits


def open_folded(bundle: Bundle, choice: EngineChoice) -> TorchScriptEngine:
    """The folded student. Folding takes well under a second."""
    device = _prepare(choice)
    module = trace(FoldedTextCNN(bundle.manifest.architecture, bundle.weights).eval()).to(device)
    return TorchScriptEngine("torchscript", module, device, bundle.pipeline, bundle.manifest.temperature)


def open_convolutional(bundle: Bundle, choice: EngineChoice) -> TorchScriptEngine:
    """The traced convolutions of `student.pt`: the reference, many times slower."""
    device = _prepare(choice)
    module = from_torchscript_file(bundle.read_file(TORCHSCRIPT_FILE), device)
    return TorchScriptEngine("torchscript-convolutional", module, device, bundle.pipeline, bundle.manifest.temperature)


def _prepare(choice: EngineChoice) -> torch.device:
    """Set torch up for what was chosen. Raises EngineError where it is not to be had."""
    if choice.precision not in {"auto", "fp32"}:
        raise EngineError(f"the engine {choice.name} computes in fp32, not in {choice.precision}; use native for that")
    if choice.threads is not None:
        torch.set_num_threads(choice.threads)
    device = choice.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise EngineError("the device cuda was asked for and torch finds no CUDA GPU; use cpu or auto")
    # TF32 would round the reference's convolutions to ten bits.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return torch.device(device)
