"""The fast way says byte for byte what the ordinary way says of any payload, and takes what producers usually write."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from unittest.mock import patch

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kuaixun.export import Predictions
from kuaixun.worker import usual_form
from kuaixun.worker.labelling import _tell_once, label_batch
from kuaixun.worker.labels import Policy
from kuaixun.worker.outcomes import Labelled, Outcome
from kuaixun.worker.records import Record, Records
from kuaixun.worker.usual_form import UsualForm
from tests.worker.fake_classifier import POISON, FakeClassifier

native = pytest.importorskip("kuaixun.export._native", reason="the native engine is not built", exc_type=ImportError)

RECEIVED = datetime(2025, 5, 1, 8, tzinfo=UTC)
DONE = datetime(2025, 5, 1, 9, 0, 0, 120, tzinfo=UTC)
POLICY = Policy(confidence_threshold=0.7, top_scores=3, worker_version="1.2.3")


class Uneven(FakeClassifier):
    """Figures of every size, ties and the odd one that is no millionth, as they follow from the title."""

    def classify(self, texts: Sequence[str]) -> Predictions:
        rows = [[zlib.crc32((text + label).encode()) % 1_000_003 / 1e6 for label in self.labels] for text in texts]
        scores = np.array(rows).reshape(len(rows), len(self.labels))  # (n, classes)
        scores[:, 1] = scores[:, 2]
        return Predictions(scores.argmax(axis=1).astype(np.int64), scores.max(axis=1, initial=0.0), scores)


def records(payloads: Sequence[bytes | None]) -> list[Record]:
    return [Record('ra"w', number % 3, 10**number, b"k", value) for number, value in enumerate(payloads)]


def both_ways(payloads: Sequence[bytes | None], classifier: FakeClassifier) -> tuple[list[Outcome], list[Outcome]]:
    fast = label_batch(records(payloads), classifier, POLICY, received_at=RECEIVED, clock=lambda: DONE)
    with patch.object(usual_form, "_IS_BUILT", new=False):
        slow = label_batch(records(payloads), classifier, POLICY, received_at=RECEIVED, clock=lambda: DONE)
    return [*fast], [*slow]


def written(batch: Sequence[Record]) -> list[bytes | None]:
    form = UsualForm(Records.of(batch))
    form.label(FakeClassifier(), POLICY, received_at=RECEIVED, clock=lambda: DONE)
    return form.values()


def taken(payload: bytes) -> bool:
    return None not in written(records([payload]))


TEXTS = st.text() | st.text('ab"\\\n\x00\x7f国\ud83d\U0001f600\ufffd')
TIMES = (
    st.datetimes(timezones=st.timezones() | st.just(UTC)).map(datetime.isoformat)
    | st.from_regex(
        r"[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{0,9})?"
        r"(Z|z|[+-][012][0-9]:?[0-9]{2})"
    )
    | TEXTS
)
EVENTS = st.fixed_dictionaries(
    {"id": TEXTS, "title": TEXTS},
    optional={
        **dict.fromkeys(("body", "source", "url", "language"), TEXTS | st.none()),
        "published_at": TIMES | st.none(),
        "extra": st.dictionaries(TEXTS, TEXTS),
        "more": TEXTS,
    },
)


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    """An event as some JSON writer would write it, once in a while with a byte that another would not have written."""
    items = draw(st.permutations(list(draw(EVENTS).items())))
    items += draw(st.just([]) | st.just(items[:1]))
    comma, colon = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: ")]))
    ascii_only = draw(st.booleans())
    text = comma.join(json.dumps(name) + colon + json.dumps(value, ensure_ascii=ascii_only) for name, value in items)
    written = bytearray(f"{{{text}}}".encode("utf-8", "surrogatepass"))
    if draw(st.booleans()):
        place = draw(st.integers(0, len(written) - 1))
        written[place : place + draw(st.integers(0, 1))] = draw(
            st.binary(max_size=2) | st.sampled_from([b"null", b"\\u", b'"'])
        )
    return bytes(written)


@given(st.lists(payloads() | st.none(), max_size=6))
@example([b'{"id":"a","title":"\\qnull}', b'{"id":"a","title":"\\u00e9\\ud83d\\ude00\\/"}', b'{"id":"","title":"t"}'])
@example([b'{"id":"a","title":"t","published_at":"2023-02-29T00:00:00Z"}', b'{"id":"a","title":"t","id":"b"}'])
def test_both_ways_say_the_same_of_any_payload(batch: list[bytes | None]) -> None:
    for classifier in (FakeClassifier(), Uneven()):
        fast, ordinary = both_ways(batch, classifier)
        assert fast == ordinary


def test_every_figure_is_written_as_msgspec_writes_it() -> None:
    figures = np.arange(0, 1_000_001, 7) / 1e6
    events = native.RawEvents([b'{"id":"a","title":"t"}'] * len(figures), [0] * len(figures), [0] * len(figures))
    events.read()
    events.write(
        np.zeros(len(figures), np.int64),
        figures,
        figures[:, None],
        **dict.fromkeys(("model", "topic", "received_at", "labelled_at"), b'""'),
        labels=(b'"l"',),
        top_scores=1,
        confidence_threshold=0.0,
    )
    for figure, value in zip(figures.tolist(), events.values(), strict=True):
        said = msgspec.json.encode(figure)
        assert value.startswith(b'{"id":"a","title":"t","label":"l","confidence":%b,"scores":{"l":%b},' % (said, said))


@pytest.mark.parametrize(
    "payload",
    [
        b'{"id": "n-1", "title": "\xe4\xb8\xbb\xe9\x98\x9f", "source": null, "language": "zh"}',
        b'{"id":"n-1","title":"\\u4e3b\\u961f \\"\\ud83d\\ude00\\"","url":"https:\\/\\/news.example"}',
        b'{"title":"t","body":"b","id":"n-1","published_at":"2026-05-06T09:30:00+08:00"}',
        b'{"title":"t","id":"n-1","published_at":"2024-02-29T09:30:00.123000Z"}\n',
    ],
)
def test_what_producers_usually_write_takes_the_fast_way(payload: bytes) -> None:
    assert taken(payload)


def test_a_fault_of_the_fast_way_itself_is_told_once_and_costs_no_headline(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("answers are needed for every event")

    _tell_once.cache_clear()
    monkeypatch.setattr(UsualForm, "label", fail)
    batch: list[bytes | None] = [b'{"id":"1","title":"a"}', b'{"id":"2","title":"b"}']
    for _ in range(2):
        fast, ordinary = both_ways(batch, FakeClassifier())
        assert fast == ordinary
        assert all(isinstance(outcome, Labelled) for outcome in fast)
    assert caplog.text.count("batches are labelled one by one") == 1


class Whole(FakeClassifier):
    """Fails on whatever is no list, of which no title is at fault."""

    def classify(self, texts: Sequence[str]) -> Predictions:
        if not isinstance(texts, list):
            raise TypeError("no list")
        return super().classify(texts)


def test_an_engine_that_fails_on_the_fast_way_alone_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    _tell_once.cache_clear()
    batch: list[bytes | None] = [b'{"id":"1","title":"a"}', json.dumps({"id": "2", "title": POISON}).encode()]
    both_ways(batch, Whole())
    assert caplog.text == "", "a title at fault explains it"
    for _ in range(2):
        fast, ordinary = both_ways(batch[:1], Whole())
        assert fast == ordinary
    assert caplog.text.count("batches are labelled one by one") == 1


@pytest.mark.parametrize("engine", ["native", "torchscript"])
def test_every_engine_takes_titles_where_they_lie(engine: str, caplog: pytest.LogCaptureFixture) -> None:
    from kuaixun.export import open_classifier

    _tell_once.cache_clear()
    batch = [
        Record("raw", 0, number, None, json.dumps({"id": "x", "title": f"央行下调存款准备金率 {number}"}).encode())
        for number in range(600)
    ]
    classifier = open_classifier(engine=engine, device="cpu", threads=1)
    outcomes = label_batch(batch, classifier, POLICY, received_at=RECEIVED, clock=lambda: DONE)
    assert all(isinstance(outcome, Labelled) for outcome in outcomes)
    assert "one by one" not in caplog.text


def test_titles_are_a_sequence_slices_and_all() -> None:
    titles = [*"零一二三四五"]
    payloads = [json.dumps({"id": "x", "title": title}).encode() for title in titles]
    events = native.RawEvents(payloads, [0] * len(titles), list(range(len(titles))))
    events.read()
    for some in (slice(None), slice(1, 4), slice(-2, None), slice(None, None, -2), slice(4, 2), slice(2, 100)):
        assert events[some] == titles[some]
    with pytest.raises(IndexError):
        events[len(titles)]


def test_a_title_at_fault_takes_no_other_with_it() -> None:
    batch = [b'{"id":"1","title":"a"}', json.dumps({"id": "2", "title": POISON}).encode(), b'{"id":"3","title":"b"}']
    fast, ordinary = both_ways(batch, FakeClassifier())
    assert fast == ordinary
    assert [isinstance(outcome, Labelled) for outcome in fast] == [True, False, True]


def test_unreadable_headers_are_left_to_the_ordinary_way() -> None:
    record = Record("raw", 0, 0, None, b'{"id":"1","title":"a"}', headers_unreadable=True)
    assert written([record]) == [None]


def test_the_native_engine_says_the_same_of_titles_where_they_lie() -> None:
    from kuaixun.export import open_classifier

    titles = ["主队加时绝杀晋级四强", "", "<b>股市</b> http://a.example 大涨", "央行\n降准"]
    classifier = open_classifier(engine="native", threads=1)
    payloads = [json.dumps({"id": "x", "title": title}).encode() for title in titles]
    events = native.RawEvents(payloads, [0] * len(titles), list(range(len(titles))))
    events.read()
    assert list(events) == titles
    one, other = classifier.classify(events), classifier.classify(titles)
    assert np.array_equal(one.label_ids, other.label_ids)
    assert np.array_equal(one.scores, other.scores)
