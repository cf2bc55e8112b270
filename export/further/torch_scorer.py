"""Logits from anything that torch can call: what `torch.export` and AOTInductor files are checked by."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from kuaixun.export.engine.interface import LOGIT_TOLERANCES
from kuaixun.export.text.pipeline import Encoded


class TorchScorer:
    """A loaded file, on the CPU. See Scorer."""

    def __init__(self, name: str, run: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self._name = name
        self._run = run

    @property
    def name(self) -> str:
        """The file and what runs it."""
        return self._name

    @property
    def logit_tolerance(self) -> float:
        """Single precision: other orders of addition; logits reach about ten."""
        return LOGIT_TOLERANCES["fp32"]

    def logits(self, encoded: Encoded) -> NDArray[np.float64]:
        """See Scorer.logits. The batch must not be empty."""
        with torch.inference_mode():
            logits: NDArray[np.float64] = self._run(torch.from_numpy(encoded.ids).long()).double().numpy()
        return logits  # (n, classes)
