# Types of the C++ module; see export/cpp/python/native.cc.

from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

# Its arguments are the message and the name of a class of kuaixun.export.errors.
class NativeError(Exception): ...

class RawEvents(Sequence[str]):
    def __init__(self, payloads: list[bytes | None], partitions: list[int], offsets: list[int]) -> None: ...
    def read(self) -> None: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def write(
        self,
        label_ids: NDArray[np.int64],
        confidences: NDArray[np.float64],
        scores: NDArray[np.float64],
        *,
        labels: tuple[bytes, ...],
        model: bytes,
        topic: bytes,
        received_at: bytes,
        labelled_at: bytes,
        top_scores: int,
        confidence_threshold: float,
    ) -> None: ...
    def values(self) -> list[bytes | None]: ...

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
