"""A dead letter gives back the record that it was made of, however often the record dies."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuaixun.schemas.dead_letter import MESSAGE_LIMIT_CHARS, PREFIX, DeadLetter, DeadLetterReason

header_names = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    [PREFIX, PREFIX + "reason", PREFIX + "value_bytes_cut", PREFIX + "key", PREFIX + "of another", "traceparent"]
)
offsets = st.integers(0, 2**63 - 1)
dead_letters = st.builds(
    DeadLetter,
    key=st.none() | st.binary(),
    value=st.none() | st.binary(),
    headers=st.lists(st.tuples(header_names, st.none() | st.binary()), max_size=4).map(tuple),
    reason=st.sampled_from(DeadLetterReason),
    message=st.text(st.characters(exclude_categories=["Cs"]), max_size=MESSAGE_LIMIT_CHARS),
    topic=st.from_regex(r"[a-zA-Z0-9._-]{1,20}", fullmatch=True),
    partition=st.integers(0, 2**31 - 1),
    offset=offsets,
    worker_version=st.sampled_from(["0.1.0", "2.0.0rc1"]),
    value_bytes_cut=st.just(0) | offsets,
    headers_cut=st.just(0) | offsets,
    key_bytes_cut=st.just(0) | offsets,
    failed_replays=st.just(0) | offsets,
)


@given(dead_letters)
def test_record_of_a_dead_letter_gives_it_back(letter: DeadLetter) -> None:
    assert DeadLetter.from_record(letter.key, letter.value, letter.to_headers()) == letter


@given(dead_letters, dead_letters)
def test_record_that_died_twice_gives_back_the_second_death_and_then_the_first(
    first: DeadLetter, second: DeadLetter
) -> None:
    again = msgspec.structs.replace(
        second, key=first.key, value=first.value, headers=tuple((name, value) for name, value in first.to_headers())
    )
    read = DeadLetter.from_record(again.key, again.value, again.to_headers())
    assert read == again
    assert DeadLetter.from_record(read.key, read.value, read.headers) == first


@given(dead_letters)
def test_own_headers_come_first_and_untouched(letter: DeadLetter) -> None:
    assert tuple(letter.to_headers()[: len(letter.headers)]) == letter.headers


def test_long_message_is_cut_and_lone_surrogates_are_replaced() -> None:
    letter = DeadLetter(
        key=None,
        value=b"{",
        headers=(),
        reason=DeadLetterReason.INVALID_JSON,
        message="\ud800" + "长" * MESSAGE_LIMIT_CHARS,
        topic="news.raw",
        partition=0,
        offset=0,
        worker_version="0.1.0",
    )
    read = DeadLetter.from_record(letter.key, letter.value, letter.to_headers())
    assert read.message == "?" + "长" * (MESSAGE_LIMIT_CHARS - 1)


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ([], "missing required field"),
        ([(PREFIX + "reason", b"bored")], "Invalid enum value 'bored'"),
        ([(PREFIX + "reason", b"invalid_json"), (PREFIX + "partition", b"-1")], "partition"),
    ],
)
def test_record_that_is_no_dead_letter_is_refused(headers: list[tuple[str, bytes | None]], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        DeadLetter.from_record(b"key", b"value", headers)
