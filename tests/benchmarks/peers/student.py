"""The student as a peer's own author would ask it, and the event that says what it answered.

All peers get the text pipeline for nothing: it is kuaixun's own, and so is the calibration of the scores.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from kuaixun.export import NO_LABEL, Predictions, open_classifier
from kuaixun.export.bundle.file_names import TORCHSCRIPT_FILE
from kuaixun.export.bundle.reader import open_bundle
from kuaixun.export.predictions import predictions_from

TOP_SCORES = 3  # what the worker lists by default, so that the events are as long


class Verdict(NamedTuple):
    """What the student says of one title; `label` is None where nothing of the title was left to classify."""

    label: str | None
    confidence: float
    scores: dict[str, float]


class Student(Protocol):
    """Titles in, verdicts out, on one thread."""

    model_id: str

    def verdicts(self, titles: Sequence[str]) -> list[Verdict]:
        """One a title, in order."""


class TracedStudent:
    """`student.pt` by torch, as it is loaded anywhere."""

    def __init__(self, path: Path) -> None:
        import torch

        torch.set_num_threads(1)  # one headline is too little work to share, and the broker has the other core
        bundle = open_bundle(path)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
            module = torch.jit.load(path / TORCHSCRIPT_FILE)  # type: ignore[no-untyped-call]
        self._torch, self._module = torch, module.float().eval()
        self._pipeline, self._temperature = bundle.pipeline, bundle.manifest.temperature
        self._labels = bundle.manifest.labels
        self.model_id = bundle.manifest.model_id

    def verdicts(self, titles: Sequence[str]) -> list[Verdict]:
        """See Student.verdicts."""
        encoded = self._pipeline.encode(titles)
        with self._torch.inference_mode():
            logits = self._module(self._torch.from_numpy(encoded.ids).long()).double().numpy()  # (n, classes)
        return in_words(predictions_from(logits, encoded.lengths, self._temperature), self._labels)


class NativeStudent:
    """kuaixun's C++ engine, a batch per call."""

    def __init__(self, path: Path) -> None:
        self._classifier = open_classifier(path, engine="native", threads=1)
        self.model_id = self._classifier.model_id

    def verdicts(self, titles: Sequence[str]) -> list[Verdict]:
        """See Student.verdicts."""
        return in_words(self._classifier.classify(titles), self._classifier.labels)


def open_student(path: Path, engine: str) -> Student:
    """The bundle's student on the engine named."""
    return TracedStudent(path) if engine == "traced" else NativeStudent(path)


def in_words(predictions: Predictions, labels: Sequence[str]) -> list[Verdict]:
    """Predictions as plain values, the likeliest classes first."""
    order = np.argsort(-predictions.scores, axis=1, kind="stable")[:, :TOP_SCORES]  # (n, top)
    top = np.take_along_axis(predictions.scores, order, axis=1)  # (n, top)
    return [
        Verdict(
            None if label_id == NO_LABEL else labels[label_id],
            confidence,
            {labels[class_id]: score for class_id, score in zip(class_ids, scores, strict=True)},
        )
        for label_id, confidence, class_ids, scores in zip(
            predictions.label_ids.tolist(), predictions.confidences.tolist(), order.tolist(), top.tolist(), strict=True
        )
    ]


def now() -> str:
    """As events write it."""
    return datetime.now(UTC).isoformat()


def labelled(
    news: dict[str, Any], verdict: Verdict, model_id: str, origin: tuple[str, int, int], times: tuple[str, str]
) -> dict[str, Any]:
    """The worker's own event, as a dict for the peer to write.

    `origin` is topic, partition and offset; `times` when the headline's batch was received, and when it was labelled.
    """
    topic, partition, offset = origin
    news.pop("body", None)
    return {
        **news,
        "label": verdict.label,
        "confidence": verdict.confidence,
        "scores": verdict.scores,
        "model": model_id,
        "origin": {"topic": topic, "partition": partition, "offset": offset},
        "received_at": times[0],
        "labelled_at": times[1],
    }
