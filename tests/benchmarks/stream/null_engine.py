"""The worker whose engine answers a constant: what is left of its cost is everything but the engine's.

`python -m tests.benchmarks.stream.null_engine FLAG…` is `kuaixun-worker run FLAG…` in all else.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kuaixun.export import Classifier
from kuaixun.export.bundle.reader import default_bundle_path, open_bundle
from kuaixun.export.predictions import Predictions
from kuaixun.export.text.pipeline import Encoded
from kuaixun.worker import cli, opening, service
from kuaixun.worker.settings import WorkerSettings

SCORES = (0.995743, 0.001074, 0.000927)


class NullEngine:
    """Says the same of every text. See Engine."""

    name = "null"
    instruction_set = ""
    logit_tolerance = 0.0

    def __init__(self, classes: int) -> None:
        self._scores = np.array([*SCORES, *[0.0] * classes][:classes])

    def logits(self, encoded: Encoded) -> NDArray[np.float64]:
        """See Engine.logits."""
        return np.tile(self._scores, (len(encoded), 1))  # (n, classes)

    def classify(self, texts: Sequence[str]) -> Predictions:
        """See Engine.classify."""
        count = len(texts)
        scores = np.tile(self._scores, (count, 1))  # (n, classes)
        return Predictions(np.zeros(count, np.int64), scores[:, 0].copy(), scores)


def open_null(settings: WorkerSettings) -> Classifier:
    """The bundle's labels, on no engine at all."""
    bundle = open_bundle(settings.bundle or default_bundle_path())
    return Classifier(bundle, NullEngine(len(bundle.manifest.labels)))


if __name__ == "__main__":
    for module in (opening, service):
        vars(module)["open_settings_classifier"] = open_null
    sys.exit(cli.main(["run", *sys.argv[1:]]))
