"""What torch warns and logs of itself while it exports, compiles and loads, kept from the reader by name."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# torch.onnx logs that torchvision is not installed; the loaders log as a warning, with its traceback, the failure that
# they then raise.
_LOGGERS = ("torch.onnx", "torch.export", "torch._inductor")


@contextmanager
def quiet_torch() -> Iterator[None]:
    """Silence those warnings for as long as this lasts; errors are raised and logged as ever."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        # Inductor builds on modules that still use torch.jit's decorators.
        warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
        # torch's own trees, copied by Python's copyreg.
        warnings.filterwarnings("ignore", message="`isinstance.treespec, LeafSpec.` is deprecated")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
