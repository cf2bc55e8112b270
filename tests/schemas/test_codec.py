"""Bytes to events and back: nothing but UndecodableError, nothing lost, and what is read can be written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kuaixun.schemas.codec import NESTING_LIMIT, UndecodableError, decode_raw_news, encode_labelled_news
from kuaixun.schemas.dead_letter import DeadLetterReason
from kuaixun.schemas.events import LabelledNews, Origin, RawNews

texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
extras = st.dictionaries(texts.filter(lambda name: name not in RawNews.__struct_fields__), json_values, max_size=3)
# RFC 3339 writes offsets in whole minutes.
zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.datetimes(timezones=zones)
raw_news = st.builds(
    RawNews,
    id=texts.filter(bool),
    title=texts,
    body=st.none() | texts,
    source=st.none() | texts,
    url=st.none() | texts,
    published_at=st.none() | instants,
    language=st.none() | texts,
    extra=extras,
)


def refusal(payload: bytes) -> UndecodableError:
    with pytest.raises(UndecodableError) as caught:
        decode_raw_news(payload)
    return caught.value


def labelled(news: RawNews) -> LabelledNews:
    """An event as the worker makes it of `news`."""
    return LabelledNews(
        id=news.id,
        title=news.title,
        label="finance",
        confidence=0.75,
        scores={"finance": 0.75, "stocks": 0.25},
        model="0" * 64,
        origin=Origin(topic="news.raw", partition=3, offset=41),
        received_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        labelled_at=datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC),
        published_at=news.published_at,
        source=news.source,
        url=news.url,
        language=news.language,
        extra=news.extra,
    )


@given(st.binary())
@example(b"")
@example(b"\xef\xbb\xbf{}")
@example(b'{"id":"1","title":"\\ud800"}')
@example(b'{"id":"1","title":"x","n":1e999}')
@example(b'{"id":"1","title":"x","n":' + b"9" * 5000 + b"}")
@example(b"[" * 100_000)
@example(b'{"id":"1","title":"x","n":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
def test_arbitrary_bytes_raise_nothing_but_undecodable(payload: bytes) -> None:
    error = refusal(payload)
    assert error.reason in {
        DeadLetterReason.INVALID_UTF8,
        DeadLetterReason.INVALID_JSON,
        DeadLetterReason.INVALID_EVENT,
    }
    assert str(error)


@given(json_values)
def test_arbitrary_json_is_no_event_unless_it_is_one(value: Any) -> None:
    assert refusal(msgspec.json.encode(value)).reason is DeadLetterReason.INVALID_EVENT


@given(
    st.sampled_from(RawNews.__struct_fields__),
    json_values.filter(lambda value: value is not None and not isinstance(value, str | dict)),
)
def test_known_field_of_a_wrong_type_is_refused(field: str, value: Any) -> None:
    error = refusal(msgspec.json.encode({"id": "1", "title": "x", field: value}))
    assert error.reason is DeadLetterReason.INVALID_EVENT
    assert f"$.{field}" in str(error)


@given(raw_news)
def test_written_event_is_read_back_the_same(news: RawNews) -> None:
    assert decode_raw_news(msgspec.json.encode(news)) == news


@given(raw_news)
def test_unknown_fields_are_kept_in_extra(news: RawNews) -> None:
    tree = msgspec.to_builtins(news) | news.extra
    tree.pop("extra", None)
    assert decode_raw_news(msgspec.json.encode(tree)) == news


def test_unknown_field_joins_the_extra_that_the_producer_sent() -> None:
    news = decode_raw_news(b'{"id":"1","title":"x","extra":{"a":1},"b":[2]}')
    assert news.extra == {"a": 1, "b": [2]}


@pytest.mark.parametrize(
    "payload", [b'{"extra":{"a":1},"a":2,"id":"1","title":"x"}', b'{"id":"1","title":"x","a":2,"extra":{"a":1}}']
)
def test_the_extra_that_the_producer_sent_goes_before_an_unknown_field_of_the_same_name(payload: bytes) -> None:
    assert decode_raw_news(payload).extra == {"a": 1}


@given(raw_news)
def test_labelled_event_carries_what_was_read_and_is_read_back_the_same(news: RawNews) -> None:
    event = labelled(decode_raw_news(msgspec.json.encode(news)))
    assert msgspec.json.decode(encode_labelled_news(event), type=LabelledNews) == event


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_is_refused_at_the_same_depth_from_any_stack(opening: bytes, closing: bytes) -> None:
    def payload(depth: int) -> bytes:
        return b'{"id":"1","title":"x","deep":' + opening * depth + b"0" + closing * depth + b"}"

    def from_stack(frames: int, depth: int) -> bytes:
        if frames:
            return from_stack(frames - 1, depth)
        return encode_labelled_news(labelled(decode_raw_news(payload(depth))))

    for frames in (0, 200):
        assert opening * (NESTING_LIMIT - 1) in from_stack(frames, NESTING_LIMIT - 1)
        with pytest.raises(UndecodableError, match=f"over {NESTING_LIMIT} levels deep"):
            from_stack(frames, NESTING_LIMIT)


@pytest.mark.parametrize(
    ("payload", "reason", "message"),
    [
        (b'{"id":"1","title":"\xb9\xc9\xca\xd0"}', DeadLetterReason.INVALID_UTF8, "byte 19 of the value is not UTF-8"),
        (b'{"id":"1","title":"x"', DeadLetterReason.INVALID_JSON, "truncated"),
        (rb'{"id":"1","title":"\ud83d"}', DeadLetterReason.INVALID_JSON, r"has \ud83d without its other half"),
        (rb'{"id":"1","title":"\udc00"}', DeadLetterReason.INVALID_JSON, r"has \udc00 without its other half"),
        (rb'{"id":"1","title":"\ud83d"', DeadLetterReason.INVALID_JSON, "truncated"),
        (b'{"id":"1","title":"a\nb"}', DeadLetterReason.INVALID_JSON, "byte 20"),
        (b"[1]", DeadLetterReason.INVALID_EVENT, "a JSON array; an event is an object"),
        (b"null", DeadLetterReason.INVALID_EVENT, "a JSON null; an event is an object"),
        (b'{"title":"x"}', DeadLetterReason.INVALID_EVENT, "missing required field `id`"),
        (b'{"id":"","title":"x"}', DeadLetterReason.INVALID_EVENT, "$.id"),
        (b'{"id":1,"title":"x"}', DeadLetterReason.INVALID_EVENT, "$.id"),
        (b'{"id":"1","title":null}', DeadLetterReason.INVALID_EVENT, "$.title"),
        (b'{"id":"1","title":"x","extra":[]}', DeadLetterReason.INVALID_EVENT, "$.extra"),
        (b'{"id":"1","title":"x","published_at":"2026-01-02T03:04:05"}', DeadLetterReason.INVALID_EVENT, "timezone"),
    ],
)
def test_refusal_says_what_is_wrong_and_where(payload: bytes, reason: DeadLetterReason, message: str) -> None:
    error = refusal(payload)
    assert error.reason is reason
    assert message in str(error)
