"""The worker whose engine answers without looking: what is left of its cost is everything but the engine's.

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
from tests.benchmarks.stream.made_up_figures import ROWS, made_up_scores


class NullEngine:
    """Answers with figures that are made up. See Engine."""

    name = "null"
    instruction_set = ""
    logit_tolerance = 0.0

    def __init__(self, classes: int) -> None:
        self._scores = made_up_scores(classes)  # (ROWS, classes)
        self._label_ids = self._scores.argmax(axis=1)  # (ROWS,)
        self._confidences = self._scores.max(axis=1)  # (ROWS,)

    def logits(self, encoded: Encoded) -> NDArray[np.float64]:
        """See Engine.logits."""
        return self._scores[np.arange(len(encoded)) % ROWS]  # (n, classes)

    def classify(self, texts: Sequence[str]) -> Predictions:
        """See Engine.classify."""
        rows = np.arange(len(texts)) % ROWS  # (n,)
        return Predictions(self._label_ids[rows], self._confidences[rows], self._scores[rows])


def open_null(settings: WorkerSettings) -> Classifier:
    """The bundle's labels, on no engine at all."""
    bundle = open_bundle(settings.bundle or default_bundle_path())
    return Classifier(bundle, NullEngine(len(bundle.manifest.labels)))


if __name__ == "__main__":
    for module in (opening, service):
        vars(module)["open_settings_classifier"] = open_null
    sys.exit(cli.main(["run", *sys.argv[1:]]))
