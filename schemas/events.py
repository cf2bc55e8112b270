"""The events: a headline as it arrives (`RawNews`) and as it leaves (`LabelledNews`).

Both are msgspec structs, so that one definition is the type, the validator and the JSON codec of the hot path.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeAlias

import msgspec

NonEmpty: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]
Instant: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True, description="RFC 3339 with an offset")]
Probability: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class RawNews(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One headline as a producer sends it. Only `id` and `title` are required.

    `forbid_unknown_fields` serves speed, not strictness: it lets `decode_raw_news` learn in one pass whether a
    payload has fields of its own; those are tolerated and kept in `extra`, where a field that the producer put there
    under the same name goes before.
    """

    id: NonEmpty
    title: str
    body: str | None = None
    source: str | None = None
    url: str | None = None
    published_at: Instant | None = None
    language: str | None = None
    extra: dict[str, Any] = {}


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where on Kafka the headline stood: together with the cluster, a key that no two inputs share."""

    topic: str
    partition: Annotated[int, msgspec.Meta(ge=0)]
    offset: Annotated[int, msgspec.Meta(ge=0)]


class LabelledNews(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One headline with its label.

    `confidence` is the calibrated probability of `label`; `scores` holds the likeliest classes, likeliest first.
    `abstained` is true when the confidence lies under the worker's threshold: the label is then the model's best
    guess and the consumer decides. What the producer sent beside the title comes through unchanged, but for the body,
    which is left out, and for `published_at`, which is cut to microseconds.
    """

    id: NonEmpty
    title: str
    label: NonEmpty
    confidence: Probability
    scores: dict[str, Probability]
    model: Annotated[str, msgspec.Meta(min_length=1, description="Content hash of the bundle that labelled it")]
    origin: Origin
    received_at: Instant
    labelled_at: Instant
    abstained: bool = False
    published_at: Instant | None = None
    source: str | None = None
    url: str | None = None
    language: str | None = None
    extra: dict[str, Any] = {}
