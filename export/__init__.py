"""The deployable artifact: text pipeline, vocabulary, bundle, engines.

Users need two names: `open_classifier` and the errors. Importing this package imports no torch; engines that need it
import it when they are opened. What needs numpy is imported at its first use, so that a command is at once able to
answer a misspelt option or Ctrl-C.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from kuaixun.export.errors import (
    BundleError,
    BundleSignatureError,
    BundleTamperedError,
    BundleVersionError,
    CheckpointError,
    EngineError,
    ExportError,
    GoldenCaseError,
    KeyFileError,
)

if TYPE_CHECKING:
    from kuaixun.export.classifier import Classifier, open_classifier
    from kuaixun.export.predictions import NO_LABEL, Predictions
else:
    _MODULES = {
        "NO_LABEL": "kuaixun.export.predictions",
        "Predictions": "kuaixun.export.predictions",
        "Classifier": "kuaixun.export.classifier",
        "open_classifier": "kuaixun.export.classifier",
    }

    def __getattr__(name):
        """A name that is imported at its first use."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_MODULES[name]), name)


__all__ = [
    "NO_LABEL",
    "BundleError",
    "BundleSignatureError",
    "BundleTamperedError",
    "BundleVersionError",
    "CheckpointError",
    "Classifier",
    "EngineError",
    "ExportError",
    "GoldenCaseError",
    "KeyFileError",
    "Predictions",
    "open_classifier",
]
