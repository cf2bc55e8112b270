"""What labels come from: a classifier, and what the operator decides about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from kuaixun.export import Predictions


class Labels(Protocol):
    """What labelling needs of a classifier; `kuaixun.export.Classifier` is one."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names in the order of label ids."""

    @property
    def model_id(self) -> str:
        """The bundle's content hash."""

    def classify(self, texts: Sequence[str]) -> Predictions:
        """One row a text; blocks."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator decides about labels. Below `confidence_threshold` the event says that the model abstained."""

    confidence_threshold: float
    top_scores: int
    worker_version: str
