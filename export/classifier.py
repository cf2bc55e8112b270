"""Texts in, predictions out: a verified bundle and the engine that serves it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kuaixun.export.bundle.reader import Bundle, default_bundle_path, open_bundle
from kuaixun.export.engine.interface import Engine, EngineChoice
from kuaixun.export.engine.select import open_engine
from kuaixun.export.predictions import Predictions


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
        return self.engine.classify(texts)


def open_classifier(
    path: Path | None = None,
    *,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    public_key: Path | None = None,
) -> Classifier:
    """Open and verify a bundle (the one shipped with the package where `path` is None) on the engine named.

    With a public key the bundle must be signed by the key's owner. The engine torchscript-convolutional runs the
    bundle's `student.pt`, which is a program: name it for bundles whose maker you trust. Raises BundleError where the
    bundle may not serve, EngineError where the engine cannot run here, KeyFileError where the key is none.
    """
    bundle = open_bundle(path or default_bundle_path(), public_key)
    return Classifier(bundle, open_engine(bundle, EngineChoice(engine, device, precision, threads)))
