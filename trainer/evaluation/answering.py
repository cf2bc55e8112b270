"""Where answers come from: a bundle that is served as the worker serves it, or a teacher's file of scores."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kuaixun.export import Classifier
from kuaixun.export.predictions import Predictions, predictions_from
from kuaixun.export.text.pipeline import in_batches
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.errors import DataError
from kuaixun.trainer.evaluation.measurement import Answers
from kuaixun.trainer.teacher.scores import read_scores

BATCH_TEXTS = 1000
TIMED_TEXTS = 10_000
TIMED_ROUNDS = 3


def answers_of_bundles(classifiers: Sequence[tuple[str, Classifier]], data: LabelledTexts) -> tuple[Answers, ...]:
    """Serve each (name, classifier) and, where there are several, time them side by side.

    Raises DataError for a bundle with other classes than the data.
    """
    predictions = [_in_order_of(data.labels, name, one, _classify(one, data.texts)) for name, one in classifiers]
    speeds: list[float | None] = [None] * len(classifiers)
    if len(classifiers) > 1:
        speeds = _texts_per_second([one for _, one in classifiers], data.texts[:TIMED_TEXTS])
    return tuple(
        Answers(name, said, one.model_id, _size_bytes(one.bundle.path), speed)
        for (name, one), said, speed in zip(classifiers, predictions, speeds, strict=True)
    )


def names_of_scores(paths: Sequence[Path]) -> tuple[str, ...]:
    """What to call each teacher: its file, with its folder where another file is called the same.

    >>> names_of_scores([Path("lstm/test"), Path("cnn/test.safetensors"), Path("blend")])
    ('lstm/test', 'cnn/test', 'blend')
    """
    stems = [path.stem for path in paths]
    return tuple(
        f"{path.resolve().parent.name}/{stem}" if stems.count(stem) > 1 else stem
        for path, stem in zip(paths, stems, strict=True)
    )


def answers_of_scores(paths: Sequence[Path], data: LabelledTexts) -> tuple[Answers, ...]:
    """Teachers' answers: the softmax of their logits as they are, uncalibrated. Raises ScoresError."""
    return tuple(_answers_of(path, name, data) for path, name in zip(paths, names_of_scores(paths), strict=True))


def _answers_of(path: Path, name: str, data: LabelledTexts) -> Answers:
    scores = read_scores(path, data_sha256=data.sha256, rows=len(data), labels=data.labels)
    everything = np.ones(len(data), dtype=np.int64)  # a teacher answers every text
    return Answers(name, predictions_from(scores.logits.astype(np.float64), everything, temperature=1.0))


def _classify(classifier: Classifier, texts: Sequence[str]) -> Predictions:
    batches = [classifier.classify(batch) for batch in in_batches(texts, BATCH_TEXTS)]
    return Predictions(
        label_ids=np.concatenate([batch.label_ids for batch in batches]),
        confidences=np.concatenate([batch.confidences for batch in batches]),
        scores=np.concatenate([batch.scores for batch in batches]),
    )


def _in_order_of(labels: tuple[str, ...], name: str, classifier: Classifier, said: Predictions) -> Predictions:
    """The predictions with columns and ids by `labels`: bundles may hold the same classes in another order."""
    if classifier.labels == labels:
        return said
    if set(classifier.labels) != set(labels):
        raise DataError(
            f"{name} tells {len(classifier.labels)} classes apart ({', '.join(classifier.labels)[:80]}), the data "
            f"{len(labels)} ({', '.join(labels)[:80]}); compare models of the same classes"
        )
    columns = [classifier.labels.index(label) for label in labels]
    ids = np.argsort(columns)  # (classes,) from the bundle's ids to those of `labels`
    label_ids = np.where(said.label_ids < 0, said.label_ids, ids[said.label_ids])
    return Predictions(label_ids, said.confidences, said.scores[:, columns])


def _texts_per_second(classifiers: Sequence[Classifier], texts: Sequence[str]) -> list[float | None]:
    """The fastest of some rounds of each. They take turns, so that what slows the machine slows all of them."""
    seconds = [float("inf")] * len(classifiers)
    for _ in range(TIMED_ROUNDS):
        for place, classifier in enumerate(classifiers):
            started = time.perf_counter()
            _classify(classifier, texts)
            seconds[place] = min(seconds[place], time.perf_counter() - started)
    return [len(texts) / one for one in seconds]


def _size_bytes(bundle: Path) -> int:
    return sum(path.stat().st_size for path in bundle.iterdir())
