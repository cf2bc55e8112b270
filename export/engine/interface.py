"""The engine interface: texts in, predictions out, by whatever computes the student."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kuaixun.export.predictions import Predictions
    from kuaixun.export.text.pipeline import Encoded

DEVICES = ("auto", "cpu", "cuda")
CONVOLUTIONAL = "torchscript-convolutional"
PRECISIONS = ("auto", "fp32", "bf16", "int8")


# What computing in a precision may do to a logit; logits reach about ten. The C++ runtime has the same.
LOGIT_TOLERANCES: dict[str, float] = {"fp32": 1e-3, "bf16": 0.1, "int8": 0.5}


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """What the caller asks of an engine. `threads` bounds its CPU threads; None leaves the engine's own choice.

    The precision `auto` is the one that the bundle's manifest names on the native engine, fp32 on the others.
    """

    name: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None

    @property
    def runs_code(self) -> bool:
        """Whether it runs the bundle's `student.pt`, which is a program: of bundles whose maker one trusts alone."""
        return self.name == CONVOLUTIONAL


class Scorer(Protocol):
    """Computes logits of token ids: all that the golden cases ask."""

    @property
    def name(self) -> str:
        """How the engine is named on the command line, with its device or precision, for logs and reports."""

    @property
    def logit_tolerance(self) -> float:
        """How far its logits may lie from the recorded ones, by the precision it computes in."""

    def logits(self, encoded: Encoded) -> NDArray[np.float64]:
        """Logits (n, classes), before calibration, one row a text in the batch's order.

        Raises nothing for ids that come from the bundle's own pipeline.
        """


class Engine(Scorer, Protocol):
    """Computes what the student says of texts.

    An engine is opened on a verified bundle and checked against its golden cases before it serves. It holds no state
    between calls; calls block and may come from several threads. Its `logits` take an empty batch too.
    """

    @property
    def instruction_set(self) -> str:
        """What its arithmetic uses of this processor, such as avx512; empty where it runs on another device."""

    def classify(self, texts: Sequence[str]) -> Predictions:
        """Label raw texts, cleaning included: one row a text, in order.

        Any text is accepted, an empty batch too. A row depends on its own text alone.
        """
