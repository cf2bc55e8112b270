"""Texts in, predictions out: a bundle's text pipeline, an engine and the calibration, put together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kuaixun.export.bundle.reader import Bundle, default_bundle_path, read_bundle
from kuaixun.export.engine.interface import Engine
from kuaixun.export.engine.select import open_engine
from kuaixun.export.predictions import NO_LABEL, Predictions

DECIMALS = 6


class Classifier:
    """A verified bundle that serves on one engine.

    Calls block until the batch is done; they may come from several threads. The result for a text does not depend
    on the other texts of its batch.
    """

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self.bundle = bundle
        self.engine = engine

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names in the order of label ids."""
        return self.bundle.manifest.labels

    @property
    def model_id(self) -> str:
        """The bundle's content hash."""
        return self.bundle.manifest.model_id

    def classify(self, texts: Sequence[str]) -> Predictions:
        """Label raw texts, cleaning included. Any text is accepted, an empty batch too."""
        encoded = self.bundle.pipeline.encode(texts)
        probabilities = _softmax(self.engine.logits(encoded) / self.bundle.manifest.temperature)  # (n, classes)
        scores = np.round(probabilities, DECIMALS)
        label_ids = probabilities.argmax(axis=1)
        empty = encoded.lengths == 0
        label_ids[empty] = NO_LABEL
        scores[empty] = 0.0
        confidences = np.where(empty, 0.0, scores.max(axis=1))
        return Predictions(label_ids=label_ids, confidences=confidences, scores=scores)


def open_classifier(
    path: Path | None = None, *, engine: str = "auto", device: str = "auto", threads: int | None = None
) -> Classifier:
    """Open and verify a bundle (the one shipped with the package where `path` is None) on the engine named.

    Raises BundleError where the bundle may not serve, EngineError where the engine cannot run here.
    """
    bundle = read_bundle(path or default_bundle_path())
    return Classifier(bundle, open_engine(bundle, engine, device=device, threads=threads))


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row-wise softmax, shape kept: (n, classes)."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    result: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return result
