"""The committed JSON Schema files say what the types say: no more, and no less."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from kuaixun.schemas.codec import UndecodableError, decode_raw_news, encode_labelled_news
from kuaixun.schemas.dead_letter import DeadLetter, DeadLetterReason
from kuaixun.schemas.events import LabelledNews, Origin, RawNews
from kuaixun.schemas.json_schema import FOLDER, generated_files, schema_of

RAW_NEWS = Draft202012Validator(schema_of(RawNews))
WHOLE = {"id": "1", "title": "股市大涨", "published_at": "2026-01-02T03:04:05+08:00", "extra": {"a": [1]}}
values: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=2) | st.just([]) | st.just({})
)


def test_committed_files_are_those_the_types_generate() -> None:
    assert {path: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()} == generated_files(), (
        "run `python -m kuaixun.schemas.json_schema` and commit what it writes"
    )


@pytest.mark.parametrize("path", generated_files(), ids=lambda path: path.name)
def test_file_is_a_json_schema(path: Path) -> None:
    Draft202012Validator.check_schema(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("fields", [WHOLE, {"id": "1", "title": ""}, WHOLE | {"unheard_of": {"deep": [None]}}])
def test_raw_news_that_the_decoder_takes_is_valid(fields: dict[str, Any]) -> None:
    decode_raw_news(msgspec.json.encode(fields))
    RAW_NEWS.validate(fields)


@given(st.dictionaries(st.sampled_from([*RawNews.__struct_fields__, "unheard_of"]), values))
def test_decoder_refuses_what_the_schema_refuses(fields: dict[str, Any]) -> None:
    changed = WHOLE | fields
    if not RAW_NEWS.is_valid(changed):
        with pytest.raises(UndecodableError):
            decode_raw_news(msgspec.json.encode(changed))


@pytest.mark.parametrize("field", RawNews.__struct_fields__)
def test_schema_and_decoder_refuse_a_number_in_every_field(field: str) -> None:
    changed = WHOLE | {field: 1}
    assert not RAW_NEWS.is_valid(changed)
    with pytest.raises(UndecodableError, match=field):
        decode_raw_news(msgspec.json.encode(changed))


def test_labelled_news_as_written_is_valid() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    event = LabelledNews(
        id="1",
        title="股市大涨",
        label="股票",
        confidence=1.0,
        scores={"股票": 1.0},
        model="0" * 64,
        origin=Origin(topic="news.raw", partition=0, offset=7),
        received_at=now,
        labelled_at=now,
        abstained=True,
        published_at=now,
        extra={"a": 1},
    )
    validator = Draft202012Validator(schema_of(LabelledNews))
    tree = json.loads(encode_labelled_news(event))
    validator.validate(tree)
    assert not validator.is_valid(tree | {"confidence": 1.5})
    assert not validator.is_valid(tree | {"origin": {"topic": "news.raw", "partition": -1, "offset": 7}})


def test_dead_letter_as_described_is_valid() -> None:
    letter = DeadLetter(
        key=None,
        value=b"\xff",
        headers=(("traceparent", b"00"), ("empty", None)),
        reason=DeadLetterReason.INVALID_UTF8,
        message="byte 0 of the value is not UTF-8",
        topic="news.raw",
        partition=0,
        offset=7,
        worker_version="0.1.0",
    )
    validator = Draft202012Validator(schema_of(DeadLetter))
    tree = json.loads(msgspec.json.encode(letter))
    validator.validate(tree)
    assert not validator.is_valid(tree | {"reason": "bored"})


def test_raw_news_schema_tolerates_unknown_fields_as_the_contract_does() -> None:
    assert schema_of(RawNews)["additionalProperties"] is True
