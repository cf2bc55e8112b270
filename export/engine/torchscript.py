"""The torchscript engine: the student by torch, on the CPU or on CUDA, folded or convolutional."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from kuaixun.export.batches import in_batches
from kuaixun.export.bundle.file_names import TORCHSCRIPT_FILE
from kuaixun.export.bundle.reader import Bundle
from kuaixun.export.engine.interface import LOGIT_TOLERANCES, EngineChoice
from kuaixun.export.errors import BundleError, EngineError
from kuaixun.export.predictions import Predictions, predictions_from
from kuaixun.export.student.folded import SLICE_FILTERS, FoldedTextCNN
from kuaixun.export.student.tracing import from_torchscript_file, trace
from kuaixun.export.text.pipeline import Encoded, TextPipeline
from kuaixun.export.text.vocabulary import PAD, UNK

# Enough to keep a GPU busy; at 32 tokens and three times 256 filters, some hundred MB of windows.
CHUNK_TEXTS = 1024
# What goes through the folded graph at once on a CPU: texts of like length, so that there is little padding, and no
# more than let a slice of their windows, of 512 bytes each, stay near a core (docs/engine-speed.md).
GROUP_TOKENS = 5120


class TorchScriptEngine:
    """A TorchScript module on a device, behind Python's text pipeline.

    The same predictions in any batch where the module is the folded one. That one alone may be given `group_tokens`:
    it then runs on texts of like length, about so many tokens at once. `temperature` is the bundle's calibration.
    """

    def __init__(
        self,
        name: str,
        module: Callable[[torch.Tensor], torch.Tensor],
        device: torch.device,
        pipeline: TextPipeline,
        temperature: float,
        group_tokens: int | None = None,
    ) -> None:
        self._name = f"{name} ({device.type})"
        self._group_tokens = group_tokens
        self._module = module
        self._device = device
        self._pipeline = pipeline
        self._temperature = temperature

    @property
    def name(self) -> str:
        """The engine and its device."""
        return self._name

    @property
    def instruction_set(self) -> str:
        """What torch found of the processor, in the native engine's words; empty on CUDA."""
        return "" if self._device.type == "cuda" else torch.backends.cpu.get_cpu_capability().lower()

    @property
    def logit_tolerance(self) -> float:
        """Single precision: other orders of addition, on other hardware; logits reach about ten."""
        return LOGIT_TOLERANCES["fp32"]

    def classify(self, texts: Sequence[str]) -> Predictions:
        """See Engine.classify. The memory it takes does not grow with the batch, but for the answers themselves."""
        chunks = [self._classify_chunk(chunk) for chunk in in_batches(texts, CHUNK_TEXTS)]
        if len(chunks) == 1:
            return chunks[0]
        if not chunks:
            return self._classify_chunk(texts)
        return Predictions(
            label_ids=np.concatenate([chunk.label_ids for chunk in chunks]),
            confidences=np.concatenate([chunk.confidences for chunk in chunks]),
            scores=np.concatenate([chunk.scores for chunk in chunks]),
        )

    def logits(self, encoded: Encoded) -> NDArray[np.float64]:
        """See Engine.logits."""
        if not len(encoded):
            return self._run(np.full((1, 1), PAD, dtype=np.int32))[:0]
        if self._group_tokens is None or encoded.ids.size <= self._group_tokens:
            return self._run(encoded.ids)
        tokens = (encoded.ids != PAD).sum(axis=1)  # (n,)
        order = np.argsort(tokens, kind="stable")
        total = tokens[order].cumsum()  # (n,)
        ends = np.searchsorted(total, range(self._group_tokens, int(total[-1]), self._group_tokens)) + 1
        groups = [group for group in np.split(order, ends) if len(group)]
        sorted_logits = np.concatenate(
            [self._run(encoded.ids[group, : max(tokens[group[-1]], 1)]) for group in groups]
        )  # (n, classes)
        logits = np.empty_like(sorted_logits)
        logits[order] = sorted_logits
        return logits

    def _run(self, ids: NDArray[np.int32]) -> NDArray[np.float64]:
        """Run the module: (n, tokens) → (n, classes)."""
        with torch.inference_mode():
            on_device = torch.from_numpy(ids).to(self._device).long()  # (n, tokens)
            logits: NDArray[np.float64] = self._module(on_device).double().cpu().numpy()  # (n, classes)
        return logits

    def _classify_chunk(self, texts: Sequence[str]) -> Predictions:
        encoded = self._pipeline.encode(texts)
        return predictions_from(self.logits(encoded), encoded.lengths, self._temperature)


def open_folded(bundle: Bundle, choice: EngineChoice) -> TorchScriptEngine:
    """The folded student. Folding takes well under a second."""
    device = _prepare(choice)
    architecture, on_cpu = bundle.manifest.architecture, device.type == "cpu"
    # A GPU has rather few large operations than many that fit a cache.
    slice_filters = SLICE_FILTERS if on_cpu else architecture.filters
    module = trace(FoldedTextCNN(architecture, bundle.weights, slice_filters=slice_filters).eval()).to(device)
    return TorchScriptEngine(
        "torchscript",
        module,
        device,
        bundle.pipeline,
        bundle.manifest.temperature,
        group_tokens=GROUP_TOKENS if on_cpu else None,
    )


def open_convolutional(bundle: Bundle, choice: EngineChoice) -> TorchScriptEngine:
    """The traced convolutions of `student.pt`: the reference, many times slower. Loading and running it runs its code.

    Raises BundleError where the file holds anything but such a student.
    """
    device = _prepare(choice)
    content = bundle.read_file(TORCHSCRIPT_FILE)
    try:
        module = from_torchscript_file(content, device)
        with torch.inference_mode():
            answer = module(torch.full((1, 1), UNK, device=device))  # (1, classes)
    # torch tells of a broken archive, of code that does not parse and of code that fails by errors of any kind.
    except Exception as error:
        raise BundleError(f"{bundle.path / TORCHSCRIPT_FILE} holds no student that torch can run: {error}") from error
    if not isinstance(answer, torch.Tensor) or answer.shape != (1, len(bundle.manifest.labels)):
        raise BundleError(f"{bundle.path / TORCHSCRIPT_FILE} does not score the manifest's labels")
    return TorchScriptEngine("torchscript-convolutional", module, device, bundle.pipeline, bundle.manifest.temperature)


def _prepare(choice: EngineChoice) -> torch.device:
    """Set torch up for what was chosen. Raises EngineError where it is not to be had."""
    if choice.precision not in {"auto", "fp32"}:
        raise EngineError(
            f"the engine {choice.name} computes in fp32, not in {choice.precision}, which the native engine alone does"
        )
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
