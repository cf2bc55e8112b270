"""`kuaixun.h` through ctypes, which lets other threads run while it calls."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path


class CText(ctypes.Structure):
    """kuaixun_text."""

    _fields_ = (("bytes", ctypes.c_char_p), ("size", ctypes.c_size_t))


class CClassifier:
    """A bundle that is opened for as long as the process lives."""

    def __init__(self, library: Path, bundle: Path, precision: int) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.kuaixun_classes.restype = ctypes.c_size_t
        self._opened = ctypes.c_void_p()
        place = ctypes.byref(self._opened)
        assert self._library.kuaixun_open(bytes(bundle), precision, place, None, ctypes.c_size_t(0)) == 0

    def scores(self, texts: Sequence[bytes], threads: int) -> list[float]:
        """Of all texts and classes (texts * classes)."""
        views = (CText * len(texts))(*(CText(text, len(text)) for text in texts))
        scores = (ctypes.c_double * (len(texts) * self._library.kuaixun_classes(self._opened)))()
        count = ctypes.c_size_t(len(texts))
        outputs = (None, None, scores, None)
        assert self._library.kuaixun_classify(self._opened, views, count, 0, ctypes.c_uint(threads), *outputs) == 0
        return list(scores)
