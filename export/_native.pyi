# Types of the C++ module; see export/cpp/python/native.cc.

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Its arguments are the message and the name of a class of kuaixun.export.errors.
class NativeError(Exception): ...

class NativeClassifier:
    def __init__(self, folder: bytes, precision: str) -> None: ...
    def classify(
        self, texts: Sequence[str], threads: int = 1
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]: ...
    def logits(self, ids: NDArray[np.int32], threads: int = 1) -> NDArray[np.float64]: ...
    @property
    def manifest_sha256(self) -> str: ...
    @property
    def instruction_set(self) -> str: ...
