"""A classifier that is watched: what it says of each batch is counted on the way, in a few numpy calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from kuaixun.export import Classifier, Predictions
from kuaixun.worker.labelling import Labels
from kuaixun.worker.observability.histogram import Histogram
from kuaixun.worker.observability.label_mix import LabelMix
from kuaixun.worker.observability.metric_names import CONFIDENCE


class ModelFigures:
    """What the models of this worker have said so far, and which one is saying it now."""

    def __init__(self, confidence_threshold: float) -> None:
        self.model_id = self.engine = ""
        self.labels: tuple[str, ...] = ()
        self.abstentions = 0
        self.confidences = Histogram(CONFIDENCE.bounds)
        self.mix = LabelMix((), None)
        self._threshold = confidence_threshold
        self._counts = np.zeros(0, np.int64)  # (classes,)
        self._earlier: dict[str, int] = {}

    def take_up(self, model: Labels, look: Callable[[Callable[[], None]], None] = lambda look: look()) -> Labels:
        """A model labels from here on; the same one, watched. `look` is what calls whatever counts."""
        earlier = self.by_label()
        self.model_id, self.labels = model.model_id, model.labels
        self.engine, training = type(model).__name__, None
        if isinstance(model, Classifier):
            self.engine, training = model.engine.name, model.bundle.manifest.training.label_counts
        self.mix = LabelMix(model.labels, training)
        self._earlier, self._counts = earlier, np.zeros(len(model.labels), np.int64)
        return _Watched(model, lambda predictions: look(lambda: self.add(predictions)))

    def add(self, predictions: Predictions) -> None:
        """Count a batch's predictions; a text that nothing is left of has no label, and counts for nothing."""
        ids, confidences = predictions.label_ids, predictions.confidences  # (n,)
        if len(ids) and ids.min() < 0:
            has_label = ids >= 0  # (n,)
            ids, confidences = ids[has_label], confidences[has_label]  # (labelled,)
        counts = np.bincount(ids, minlength=len(self._counts))  # (classes,)
        self._counts += counts
        self.mix.add(counts)
        self.confidences.add(confidences)
        if self._threshold:
            self.abstentions += int(np.count_nonzero(confidences < self._threshold))

    def by_label(self) -> dict[str, int]:
        """How many headlines were given each label, by this model and by those before."""
        earlier, now = self._earlier, zip(self.labels, self._counts.tolist(), strict=True)
        return earlier | {label: earlier.get(label, 0) + count for label, count in now}


class _Watched:
    """See labelling.Labels."""

    def __init__(self, model: Labels, tell: Callable[[Predictions], None]) -> None:
        self._model, self._tell = model, tell
        self.labels, self.model_id = model.labels, model.model_id

    def classify(self, texts: Sequence[str]) -> Predictions:
        """See labelling.Labels."""
        predictions = self._model.classify(texts)
        self._tell(predictions)
        return predictions
