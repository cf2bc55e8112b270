"""`student.onnx` run by onnxruntime on the CPU: what the golden cases check it with. Needs no torch."""

from __future__ import annotations

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

from kuaixun.export.engine.interface import LOGIT_TOLERANCES, Scorer
from kuaixun.export.text.pipeline import Encoded

INPUT = "ids"
OUTPUT = "logits"


class OnnxScorer:
    """A session on the CPU. See Scorer."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session

    @property
    def name(self) -> str:
        """The file and what runs it."""
        return "student.onnx (onnxruntime)"

    @property
    def logit_tolerance(self) -> float:
        """Single precision: other orders of addition; logits reach about ten."""
        return LOGIT_TOLERANCES["fp32"]

    def logits(self, encoded: Encoded) -> NDArray[np.float64]:
        """See Scorer.logits."""
        (logits,) = self._session.run([OUTPUT], {INPUT: encoded.ids.astype(np.int64)})
        return np.asarray(logits, dtype=np.float64)  # (n, classes)


def open_onnx_file(content: bytes) -> Scorer:
    """Load `student.onnx`, which is data: no part of it is code. Raises ValueError where it is no such student."""
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        inputs, outputs = session.get_inputs(), session.get_outputs()
    # onnxruntime tells of an unusable model by errors of many kinds, none of them public.
    except Exception as error:
        raise ValueError(f"onnxruntime cannot load it: {error}") from error
    if [entry.name for entry in inputs] != [INPUT] or [entry.name for entry in outputs] != [OUTPUT]:
        raise ValueError(f"it does not map {INPUT} to {OUTPUT}")
    return OnnxScorer(session)
