"""The fast way through the middle of a headline's journey: what is of the usual form is read and written in C++.

The same outcome as `labelling`'s, byte for byte, in a fraction of the time: a batch is read in one call, classified
where its titles lie, and written in another, both without the interpreter. What is not of the usual form (a producer's
own fields, a time in another spelling, anything wrong) is left to `labelling`; all of it where the C++ runtime is
not built.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from kuaixun.worker.streams import Record

if TYPE_CHECKING:
    from kuaixun.worker.labelling import Labels, Policy

try:
    from kuaixun.export._native import RawEvents
except ImportError:
    _IS_BUILT = False
else:
    _IS_BUILT = True

_json = msgspec.json.Encoder().encode


def labelled_values(
    records: Sequence[Record],
    classifier: Labels,
    policy: Policy,
    *,
    received_at: datetime,
    clock: Callable[[], datetime],
) -> list[bytes | None]:
    """The labelled event of each record that is of the usual form and has a label, on the wire; None for the others.

    Raises what the classifier raises, without saying by which title.
    """
    topics = {record.topic for record in records}
    if not _IS_BUILT or len(topics) != 1:
        return [None] * len(records)
    events = RawEvents([None if record.headers_unreadable else record.value for record in records])
    if not len(events):
        return [None] * len(records)
    predictions = classifier.classify(events)
    return events.labelled(
        predictions.label_ids,
        predictions.confidences,
        predictions.scores,
        [record.partition for record in records],
        [record.offset for record in records],
        labels=tuple(map(_json, classifier.labels)),
        model=_json(classifier.model_id),
        topic=_json(topics.pop()),
        received_at=_json(received_at),
        labelled_at=_json(clock()),
        top_scores=policy.top_scores,
        confidence_threshold=policy.confidence_threshold,
    )
