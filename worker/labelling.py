"""The middle of a headline's journey: a batch of records in, exactly one outcome per record out, in order.

    bytes → RawNews → (the classifier) → LabelledNews → bytes

No Kafka, no clock of its own, no state: what it returns depends on its arguments alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import msgspec
import numpy as np

from kuaixun.export import NO_LABEL, Predictions
from kuaixun.schemas.codec import UndecodableError, decode_raw_news, encode_labelled_news
from kuaixun.schemas.dead_letter import DeadLetter, DeadLetterReason
from kuaixun.schemas.events import LabelledNews, Origin, RawNews
from kuaixun.worker.errors import EngineUnavailableError
from kuaixun.worker.labels import Labels, Policy
from kuaixun.worker.outcomes import TOMBSTONE, DeadLettered, Labelled, Outcome, Outcomes, Tombstone
from kuaixun.worker.records import Record, Records
from kuaixun.worker.usual_form import UsualForm

LOG = logging.getLogger(__name__)

# What any engine that works can label; it tells a title that cannot be classified from an engine that cannot classify.
KNOWN_GOOD_TITLE = "今日新闻"


class Verdict(NamedTuple):
    """The classifier's word on one title; `label` is None where nothing of the title was left to classify."""

    label: str | None
    confidence: float
    scores: dict[str, float]


def _is_at_fault(outcome: Outcome) -> bool:
    return isinstance(outcome, DeadLettered) and outcome.letter.reason is DeadLetterReason.CLASSIFICATION_FAILED


@lru_cache(maxsize=8)
def _tell_once(fault: str) -> None:
    LOG.warning("batches are labelled one by one, which takes longer: %s. Please report it.", fault)


class BatchLabelling:
    """A batch on its way through the middle. `received_at` is when it came, and `clock` tells when it was labelled."""

    def __init__(
        self,
        records: Records,
        classifier: Labels,
        policy: Policy,
        *,
        received_at: datetime,
        clock: Callable[[], datetime],
    ) -> None:
        self.records = records
        self._classifier, self._policy, self._received_at, self._clock = classifier, policy, received_at, clock
        self._usual = UsualForm(records)
        self._values: list[bytes | None] = []
        self._others: list[Outcome] = []
        self._failure: EngineUnavailableError | None = None

    def classify(self) -> None:
        """The step that takes the time. For any thread; what there is to raise is left to `outcomes`."""
        try:
            self._usual.label(self._classifier, self._policy, received_at=self._received_at, clock=self._clock)
        except Exception as error:
            _tell_once(f"{type(error).__name__}: {error}")
        self._values = self._usual.values()
        if None not in self._values:
            return
        left = self.records.where([value is None for value in self._values])
        try:
            self._others = self._one_by_one(left)
        except EngineUnavailableError as error:
            self._failure = error
        if (failure := self._usual.failure) is not None and not any(map(_is_at_fault, self._others)):
            _tell_once(f"{type(failure).__name__}: {failure}")

    def outcomes(self) -> Outcomes:
        """As many outcomes as records, in their order. Once `classify` is done.

        A record that cannot be labelled becomes a dead letter and does not touch its neighbours. Raises
        EngineUnavailableError where the classifier fails on anything, and nothing else.
        """
        if self._failure is not None:
            raise self._failure
        outcomes = Outcomes([*self._values])
        rows = (row for row, value in enumerate(self._values) if value is None) if self._others else ()
        for row, outcome in zip(list(rows), self._others, strict=True):
            outcomes[row] = outcome
        return outcomes

    def _one_by_one(self, records: Sequence[Record]) -> list[Outcome]:
        return _label_one_by_one(records, self._classifier, self._policy, self._received_at, self._clock)


def label_batch(
    records: Sequence[Record],
    classifier: Labels,
    policy: Policy,
    *,
    received_at: datetime,
    clock: Callable[[], datetime],
) -> Outcomes:
    """All of it in one call. See BatchLabelling."""
    batch = BatchLabelling(Records.of(records), classifier, policy, received_at=received_at, clock=clock)
    batch.classify()
    return batch.outcomes()


def _label_one_by_one(
    records: Sequence[Record],
    classifier: Labels,
    policy: Policy,
    received_at: datetime,
    clock: Callable[[], datetime],
) -> list[Outcome]:
    """The same of records of any form, each of which is a Python object on its way."""
    decoded = [_decode(record, policy) for record in records]
    events = [event for event in decoded if isinstance(event, RawNews)]
    verdicts = iter(_classify([event.title for event in events], classifier, policy.top_scores))
    labelled_at = clock()
    return [
        _conclude(record, event, next(verdicts), classifier.model_id, policy, received_at, labelled_at)
        if isinstance(event, RawNews)
        else event
        for record, event in zip(records, decoded, strict=True)
    ]


def dead_letter(record: Record, reason: DeadLetterReason, message: str, worker_version: str) -> DeadLettered:
    """The dead letter of a record: its bytes untouched, and why."""
    return DeadLettered(
        DeadLetter(
            key=record.key,
            value=record.value,
            headers=record.headers,
            reason=reason,
            message=message,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            worker_version=worker_version,
        )
    )


def _decode(record: Record, policy: Policy) -> RawNews | DeadLettered | Tombstone:
    """The event in a record, or the outcome that is settled without the classifier."""
    if record.headers_unreadable:
        message = "the headers cannot be read, for a header's name is not UTF-8; they are left out here"
        return dead_letter(record, DeadLetterReason.INVALID_HEADERS, message, policy.worker_version)
    if record.value is None:
        return TOMBSTONE
    try:
        return decode_raw_news(record.value)
    except UndecodableError as error:
        return dead_letter(record, error.reason, str(error), policy.worker_version)


def _classify(titles: list[str], classifier: Labels, top_scores: int) -> list[Verdict | Exception]:
    """A verdict per title, or the exception that this title alone provokes.

    A batch that fails is halved until the title at fault stands alone: the rest is labelled, in log2(n) more calls.
    """
    if not titles:
        return []
    try:
        return [*_verdicts(classifier.classify(titles), classifier.labels, top_scores)]
    except Exception as error:
        if len(titles) > 1:
            middle = len(titles) // 2
            return [
                *_classify(titles[:middle], classifier, top_scores),
                *_classify(titles[middle:], classifier, top_scores),
            ]
        _require_working(classifier)
        return [error]


def _require_working(classifier: Labels) -> None:
    """Raise EngineUnavailableError where not even a harmless title is classified: then no title is at fault."""
    try:
        classifier.classify([KNOWN_GOOD_TITLE])
    except Exception as error:
        raise EngineUnavailableError(
            f"The engine of model {classifier.model_id} fails on every title, a harmless one included "
            f"({type(error).__name__}: {error}). Nothing of this batch is committed. See that the device "
            "and its memory are well, run `kuaixun-worker check`, and restart the worker."
        ) from error


def _verdicts(predictions: Predictions, labels: tuple[str, ...], top_scores: int) -> list[Verdict]:
    """Predictions as plain Python values, the likeliest `top_scores` classes first."""
    ids, scores = predictions.label_ids, predictions.scores
    ranked = scores.copy()  # (n, classes)
    # Rounded scores can tie; the label must stand first all the same.
    ranked[np.arange(len(ids)), ids] += 1.0
    order = np.argsort(-ranked, axis=1, kind="stable")[:, :top_scores]  # (n, top)
    top = np.take_along_axis(scores, order, axis=1)  # (n, top)
    return [
        Verdict(
            None if label_id == NO_LABEL else labels[label_id],
            confidence,
            {labels[class_id]: score for class_id, score in zip(class_ids, class_scores, strict=True)},
        )
        for label_id, confidence, class_ids, class_scores in zip(
            ids.tolist(), predictions.confidences.tolist(), order.tolist(), top.tolist(), strict=True
        )
    ]


def _conclude(
    record: Record,
    event: RawNews,
    verdict: Verdict | Exception,
    model_id: str,
    policy: Policy,
    received_at: datetime,
    labelled_at: datetime,
) -> Outcome:
    """The outcome of an event that was decoded."""
    if isinstance(verdict, Exception):
        reason, message = DeadLetterReason.CLASSIFICATION_FAILED, f"{type(verdict).__name__}: {verdict}"
        return dead_letter(record, reason, message, policy.worker_version)
    if verdict.label is None:
        message = "nothing is left of the title after cleaning, so there is nothing to classify"
        return dead_letter(record, DeadLetterReason.EMPTY_TITLE, message, policy.worker_version)
    labelled = LabelledNews(
        id=event.id,
        title=event.title,
        label=verdict.label,
        confidence=verdict.confidence,
        scores=verdict.scores,
        model=model_id,
        origin=Origin(topic=record.topic, partition=record.partition, offset=record.offset),
        received_at=received_at,
        labelled_at=labelled_at,
        abstained=verdict.confidence < policy.confidence_threshold,
        published_at=event.published_at,
        source=event.source,
        url=event.url,
        language=event.language,
        extra=event.extra,
    )
    try:
        return Labelled(encode_labelled_news(labelled))
    except (msgspec.MsgspecError, RecursionError, ValueError, TypeError) as error:
        # What was kept of the producer's own fields can be read and yet not be written, such as by its depth.
        message = f"the labelled event cannot be written as JSON: {error}"
        return dead_letter(record, DeadLetterReason.INVALID_EVENT, message, policy.worker_version)
