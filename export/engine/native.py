"""The native engine: the C++ runtime of `export/cpp`, a whole batch per call, without torch and without the GIL."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kuaixun.export._native import NativeClassifier, NativeError
from kuaixun.export.bundle.reader import Bundle
from kuaixun.export.engine.interface import LOGIT_TOLERANCES, EngineChoice
from kuaixun.export.errors import BundleError, BundleTamperedError, BundleVersionError, EngineError, GoldenCaseError
from kuaixun.export.predictions import Predictions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kuaixun.export.text.pipeline import Encoded


# What the C++ runtime calls its errors by.
_ERRORS = {
    error.__name__: error
    for error in (BundleError, BundleTamperedError, BundleVersionError, EngineError, GoldenCaseError)
}


class NativeEngine:
    """The C++ runtime in one precision. The same bits in any batch, on any number of threads."""

    def __init__(self, native: NativeClassifier, precision: str, threads: int) -> None:
        self._native = native
        self._precision = precision
        self._threads = threads

    @property
    def name(self) -> str:
        """The engine, its precision and the instruction set it found."""
        return f"native ({self._precision}, {self.instruction_set})"

    @property
    def instruction_set(self) -> str:
        """Of the kernels chosen when the process began: avx512, avx2 or portable."""
        return self._native.instruction_set

    @property
    def logit_tolerance(self) -> float:
        """By precision."""
        return LOGIT_TOLERANCES[self._precision]

    def classify(self, texts: Sequence[str]) -> Predictions:
        """See Engine.classify. ASCII strings are read where they lie.

        Of any other Python makes the UTF-8 once and keeps it in the string, as long as that lives; of one longer than
        `max_raw_chars`, of so many characters alone, and nothing is kept.
        """
        return Predictions(*self._native.classify(texts, self._threads))

    def logits(self, encoded: Encoded) -> NDArray[np.float64]:
        """See Engine.logits. Raises ValueError for rows of more ids than the manifest's max_tokens."""
        return self._native.logits(encoded.ids, self._threads)


def open_native(bundle: Bundle, choice: EngineChoice) -> NativeEngine:
    """Open the bundle in C++, which reads it for itself, golden cases included.

    Raises EngineError, or BundleError or the kind of it that Python's reader would.
    """
    if choice.device == "cuda":
        raise EngineError("the native engine runs on the CPU; for cuda use the engine torchscript")
    precision = bundle.manifest.precision.default if choice.precision == "auto" else choice.precision
    try:
        native = NativeClassifier(os.fsencode(bundle.path), precision)
    except NativeError as error:
        message, name = error.args
        raise _ERRORS[name](message) from error
    except MemoryError as error:
        raise EngineError(f"there is not enough memory to open {bundle.path} on the native engine") from error
    # Not the model id, which is a part of a hash: under a signature these must be the bytes that were signed.
    if native.manifest_sha256 != hashlib.sha256(bundle.manifest_content).hexdigest():
        raise BundleTamperedError(f"the bundle {bundle.path} was replaced while it was opened; open it again")
    return NativeEngine(native, precision, choice.threads or 1)
