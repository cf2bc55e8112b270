"""Where answers come from: a bundle, served as the worker serves it, a teacher in its folder, a file of scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from kuaixun.export import Classifier
from kuaixun.export.batches import in_batches
from kuaixun.export.predictions import Predictions, predictions_from
from kuaixun.trainer.advance import Advance, Advancing, in_silence
from kuaixun.trainer.answering.speeds import Timed, texts_per_second
from kuaixun.trainer.data.cleaning import clean
from kuaixun.trainer.data.labelled_texts import LabelledTexts
from kuaixun.trainer.errors import DataError
from kuaixun.trainer.evaluation.measurement import Answers
from kuaixun.trainer.scores.teacher_scores import read_scores

BATCH_TEXTS = 1000
BUNDLE_ROUND_TEXTS = 10_000
TEACHER_ROUND_TEXTS = 128
SHIPPED_NAME = "shipped"


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What answers texts and tells how far it is, under labels of its own order.

    `timed` is how it is asked when its speed is taken.
    """

    name: str
    labels: tuple[str, ...]
    answer: Callable[[Sequence[str], Advance], Predictions]
    timed: Timed
    size_bytes: int
    model_id: str | None = None


def name_of_bundle(folder: Path | None) -> str:
    """What a bundle is called in tables: its folder's name, behind links; None is the one that ships."""
    return folder.resolve().name if folder else SHIPPED_NAME


def model_of_bundle(name: str, classifier: Classifier) -> Model:
    """A bundle, served as the worker serves it."""

    def answer(texts: Sequence[str], advance: Advance = in_silence) -> Predictions:
        batches, done = [], 0
        for batch in in_batches(texts, BATCH_TEXTS):
            batches.append(classifier.classify(batch))
            done += len(batch)
            advance(done / len(texts), f"{done} of {len(texts)} texts")
        return Predictions(
            label_ids=np.concatenate([batch.label_ids for batch in batches]),
            confidences=np.concatenate([batch.confidences for batch in batches]),
            scores=np.concatenate([batch.scores for batch in batches]),
        )

    size_bytes = folder_bytes(classifier.bundle.path)
    return Model(name, classifier.labels, answer, Timed(answer, BUNDLE_ROUND_TEXTS), size_bytes, classifier.model_id)


def model_of_teacher(folder: Path, name: str, device: torch.device) -> Model:
    """A teacher, a network, or a student that taught, uncalibrated. Raises SettingError, CheckpointError."""
    # Imported here because transformers takes seconds, which a comparison without teachers need not wait for.
    from kuaixun.trainer.answering.opened import open_scorer
    from kuaixun.trainer.encoder.pretrained_folders import quieten
    from kuaixun.trainer.scores.scorer import mean_logits

    quieten()
    teacher = open_scorer(folder)

    def answer(texts: Sequence[str], advance: Advance = in_silence) -> Predictions:
        return _of_logits(mean_logits([teacher], texts, device, advance), texts)

    return Model(name, teacher.labels, answer, Timed(answer, TEACHER_ROUND_TEXTS), folder_bytes(folder))


def answers_of(
    models: Sequence[Model],
    data: LabelledTexts,
    advancing: Advancing = lambda title: nullcontext(in_silence),
) -> tuple[Answers, ...]:
    """Ask each model for every text and, where there are several, time them side by side.

    Raises DataError for a model with other classes than the data.
    """
    predictions = []
    for one in models:
        with advancing(f"answers of {one.name}") as advance:
            predictions.append(_in_order_of(data.labels, one, one.answer(data.texts, advance)))
    speeds: Sequence[float | None] = [None] * len(models)
    if len(models) > 1:
        speeds = texts_per_second([one.timed for one in models], data.texts)
    return tuple(
        Answers(one.name, said, one.model_id, one.size_bytes, speed)
        for one, said, speed in zip(models, predictions, speeds, strict=True)
    )


def told_apart(paths: Sequence[Path], names: Sequence[str]) -> tuple[str, ...]:
    """The names of what lies at these paths, each with its folder where another has the same.

    >>> told_apart([Path("lstm/test"), Path("cnn/test.safetensors"), Path("blend")], ["test", "test", "blend"])
    ('lstm/test', 'cnn/test', 'blend')
    """
    return tuple(
        f"{path.resolve().parent.name}/{name}" if list(names).count(name) > 1 else name
        for path, name in zip(paths, names, strict=True)
    )


def names_of_scores(paths: Sequence[Path]) -> tuple[str, ...]:
    """What to call each teacher whose scores these are: its file, told apart."""
    return told_apart(paths, [path.stem for path in paths])


def answers_of_scores(paths: Sequence[Path], data: LabelledTexts) -> tuple[Answers, ...]:
    """Teachers' answers: the softmax of their logits as they are, uncalibrated. Raises ScoresError."""
    return tuple(_answers_of(path, name, data) for path, name in zip(paths, names_of_scores(paths), strict=True))


def folder_bytes(folder: Path) -> int:
    """What the files of a bundle or a teacher take on disk."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def _answers_of(path: Path, name: str, data: LabelledTexts) -> Answers:
    scores = read_scores(path, data.texts, data.labels)
    return Answers(name, _of_logits(scores.logits, data.texts))


def _of_logits(logits: NDArray[np.floating], texts: Sequence[str]) -> Predictions:
    """What logits (n, classes) of raw texts say; as from a bundle, no label where cleaning leaves nothing of a text."""
    lengths = np.array([len(text) for text in clean(texts)], dtype=np.int64)  # (n,)
    return predictions_from(logits.astype(np.float64), lengths, temperature=1.0)


def _in_order_of(labels: tuple[str, ...], model: Model, said: Predictions) -> Predictions:
    """The predictions with columns and ids by `labels`: models may have the same classes in another order."""
    if model.labels == labels:
        return said
    if set(model.labels) != set(labels):
        raise DataError(
            f"{model.name} tells {len(model.labels)} classes apart ({', '.join(model.labels)[:80]}), the data "
            f"{len(labels)} ({', '.join(labels)[:80]}); compare models of the same classes"
        )
    columns = [model.labels.index(label) for label in labels]
    ids = np.argsort(columns)  # (classes,) from the model's ids to those of `labels`
    label_ids = np.where(said.label_ids < 0, said.label_ids, ids[said.label_ids])
    return Predictions(label_ids, said.confidences, said.scores[:, columns])
