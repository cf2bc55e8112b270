"""A classifier that is watched: what it says of each batch is counted on the way, in a few numpy calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kuaixun.export import Classifier, Predictions
from kuaixun.worker.labels import Labels
from kuaixun.worker.observability.histogram import Histogram
from kuaixun.worker.observability.label_mix import LabelMix
from kuaixun.worker.observability.metric_names import CONFIDENCE

KEPT_TALLIES = 8  # more than there are models of which a batch may be under way


class Tally:
    """What one model has said so far, nothing where there is none. Whatever thread labels adds; anybody may read."""

    def __init__(self, model: Labels | None) -> None:
        self.model_id = model.model_id if model is not None else ""
        self.labels = model.labels if model is not None else ()
        self.engine, training = type(model).__name__ if model is not None else "", None
        if isinstance(model, Classifier):
            self.engine, training = model.engine.name, model.bundle.manifest.training.label_counts
        self.mix = LabelMix(self.labels, training)
        self._counts = np.zeros(len(self.labels), np.int64)  # (classes,)

    def add(self, label_ids: NDArray[np.integer]) -> None:
        """A batch's labels; shape (n,)."""
        counts = np.bincount(label_ids, minlength=len(self._counts))  # (classes,)
        self._counts += counts
        self.mix.add(counts)

    def by_label(self) -> dict[str, int]:
        """How many headlines were given each label."""
        return dict(zip(self.labels, self._counts.tolist(), strict=True))


class ModelFigures:
    """What the models of this worker have said so far, and which one is saying it now.

    A batch that was begun under one model may be counted when the next has taken up: each has a tally of its own.
    """

    def __init__(self, confidence_threshold: float) -> None:
        self.now = Tally(None)  # of the one that labels now
        self.abstentions = 0
        self.confidences = Histogram(CONFIDENCE.bounds)
        self._threshold = confidence_threshold
        # What models long gone have said, by label, and the tallies of the last ones: replaced together.
        self._said: tuple[Mapping[str, int], tuple[Tally, ...]] = ({}, ())

    def take_up(self, model: Labels, look: Callable[[Callable[[], None]], None] = lambda look: look()) -> Labels:
        """A model labels from here on; the same one, watched. `look` is what calls whatever counts."""
        tally = Tally(model)
        gone, last = self._said
        if len(last) == KEPT_TALLIES:
            gone, last = _sum([gone, last[0].by_label()]), last[1:]
        self._said = gone, (*last, tally)
        self.now = tally
        return _Watched(model, lambda predictions: look(lambda: self._add(tally, predictions)))

    def _add(self, tally: Tally, predictions: Predictions) -> None:
        """Count a batch's predictions; a text that nothing is left of has no label, and counts for nothing."""
        ids, confidences = predictions.label_ids, predictions.confidences  # (n,)
        if len(ids) and ids.min() < 0:
            has_label = ids >= 0  # (n,)
            ids, confidences = ids[has_label], confidences[has_label]  # (labelled,)
        tally.add(ids)
        self.confidences.add(confidences)
        if self._threshold:
            self.abstentions += int(np.count_nonzero(confidences < self._threshold))

    def by_label(self) -> dict[str, int]:
        """How many headlines were given each label, by this model and by those before."""
        gone, last = self._said
        return _sum([gone, *(tally.by_label() for tally in last)])


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for one in counts:
        for label, count in one.items():
            total[label] = total.get(label, 0) + count
    return total


class _Watched:
    """See labels.Labels."""

    def __init__(self, model: Labels, tell: Callable[[Predictions], None]) -> None:
        self._model, self._tell = model, tell
        self.labels, self.model_id = model.labels, model.model_id

    def classify(self, texts: Sequence[str]) -> Predictions:
        """See labels.Labels."""
        predictions = self._model.classify(texts)
        self._tell(predictions)
        return predictions
