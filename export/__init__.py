"""The deployable artifact: text pipeline, vocabulary, bundle, engines.

Users need two names: `open_classifier` and the errors. Importing this package imports no torch; engines that need it
import it when they are opened.
"""

from kuaixun.export.classifier import Classifier, open_classifier
from kuaixun.export.errors import (
    BundleError,
    BundleTamperedError,
    BundleVersionError,
    CheckpointError,
    EngineError,
    ExportError,
    GoldenCaseError,
)
from kuaixun.export.predictions import NO_LABEL, Predictions

__all__ = [
    "NO_LABEL",
    "BundleError",
    "BundleTamperedError",
    "BundleVersionError",
    "CheckpointError",
    "Classifier",
    "EngineError",
    "ExportError",
    "GoldenCaseError",
    "Predictions",
    "open_classifier",
]
