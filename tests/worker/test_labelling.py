"""The pure function: one outcome per record, in order, whatever the records hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuaixun.export import Predictions
from kuaixun.schemas.dead_letter import DeadLetterReason
from kuaixun.schemas.events import LabelledNews
from kuaixun.worker.errors import EngineUnavailableError
from kuaixun.worker.labelling import label_batch
from kuaixun.worker.labels import Labels, Policy
from kuaixun.worker.outcomes import DeadLettered, Labelled, Outcome, Tombstone
from kuaixun.worker.records import Record
from tests.worker.fake_classifier import LABELS, POISON, FakeClassifier, expected_label

RECEIVED = datetime(2025, 5, 1, 8, tzinfo=UTC)
DONE = datetime(2025, 5, 1, 9, tzinfo=UTC)
POLICY = Policy(confidence_threshold=0.0, top_scores=3, worker_version="1.2.3")


def label(values: list[bytes | None], classifier: Labels | None = None, policy: Policy = POLICY) -> list[Outcome]:
    records = [Record("raw", 3, 100 + i, b"k", value, (("h", None),)) for i, value in enumerate(values)]
    return [*label_batch(records, classifier or FakeClassifier(), policy, received_at=RECEIVED, clock=lambda: DONE)]


def news(title: str, **fields: object) -> bytes:
    return json.dumps({"id": "x", "title": title, **fields}).encode()


def the_event(outcome: Outcome) -> LabelledNews:
    assert isinstance(outcome, Labelled)
    return msgspec.json.decode(outcome.value, type=LabelledNews)


def the_reason(outcome: Outcome) -> DeadLetterReason:
    assert isinstance(outcome, DeadLettered)
    return outcome.letter.reason


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
EVENTS = st.fixed_dictionaries(
    {"id": st.text(), "title": st.text()},
    optional={"body": st.text(), "published_at": JSON_VALUES, "extra": JSON_VALUES, "more": JSON_VALUES},
).map(lambda tree: json.dumps(tree).encode())


@given(st.lists(st.none() | st.binary() | JSON_VALUES.map(lambda v: json.dumps(v).encode()) | EVENTS, max_size=8))
def test_any_payload_has_one_outcome_and_neighbours_do_not_matter(values: list[bytes | None]) -> None:
    outcomes = label(values)
    assert len(outcomes) == len(values)
    for value, outcome in zip(values, outcomes, strict=True):
        if value is None:
            assert isinstance(outcome, Tombstone)
        elif isinstance(outcome, Labelled):
            assert the_event(outcome).title == json.loads(value)["title"]
        else:
            assert isinstance(outcome, DeadLettered)
            assert outcome.letter.value == value
        (alone,) = label([value])
        assert type(alone) is type(outcome)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\xff", DeadLetterReason.INVALID_UTF8),
        (b"", DeadLetterReason.INVALID_JSON),
        (b'{"id": "1", "title": "\\ud800"}', DeadLetterReason.INVALID_JSON),
        (b'{"a":' * 100_000, DeadLetterReason.INVALID_JSON),
        (b'{"id": "", "title": "t"}', DeadLetterReason.INVALID_EVENT),
        (b"[]", DeadLetterReason.INVALID_EVENT),
        (b'{"id": "1", "title": " "}', DeadLetterReason.EMPTY_TITLE),
    ],
)
def test_a_refused_payload_names_its_reason(value: bytes, reason: DeadLetterReason) -> None:
    assert the_reason(label([value])[0]) is reason


@pytest.mark.parametrize("value", [news("标题"), None])
def test_a_record_whose_headers_cannot_be_read_is_a_dead_letter_without_them(value: bytes | None) -> None:
    record = Record("raw", 3, 100, b"k", value, headers_unreadable=True)
    (outcome,) = label_batch([record], FakeClassifier(), POLICY, received_at=RECEIVED, clock=lambda: DONE)
    assert the_reason(outcome) is DeadLetterReason.INVALID_HEADERS
    assert isinstance(outcome, DeadLettered)
    assert (outcome.letter.key, outcome.letter.value, outcome.letter.headers) == (b"k", value, ())


def test_an_event_carries_where_and_when_it_comes_from() -> None:
    event = the_event(label([b"?", news("标题", source="s", body="long", other=[1])])[1])
    assert (event.origin.topic, event.origin.partition, event.origin.offset) == ("raw", 3, 101)
    assert (event.received_at, event.labelled_at) == (RECEIVED, DONE)
    assert (event.source, event.extra, event.model) == ("s", {"other": [1]}, "f" * 64)
    assert event.label == expected_label("标题")


def test_a_poison_title_is_found_in_few_calls_and_the_rest_is_labelled() -> None:
    titles = [f"标题{i}" for i in range(64)]
    titles[37] = POISON
    classifier = FakeClassifier()
    outcomes = label([news(title) for title in titles], classifier)
    assert the_reason(outcomes[37]) is DeadLetterReason.CLASSIFICATION_FAILED
    labelled = [i for i, outcome in enumerate(outcomes) if isinstance(outcome, Labelled)]
    assert labelled == [i for i in range(64) if i != 37]
    assert all(the_event(outcomes[i]).label == expected_label(titles[i]) for i in labelled)
    assert len(classifier.calls) <= 1 + 2 * 6 + 2


def test_an_engine_that_fails_on_everything_makes_no_dead_letters() -> None:
    with pytest.raises(EngineUnavailableError, match="no word for this"):
        label([news("标题")], FakeClassifier(broken=True))


class Fixed(FakeClassifier):
    """Says the same of every title: the first two classes tie once rounded, and the second is the label."""

    def classify(self, texts: object) -> Predictions:
        return Predictions(np.array([1]), np.array([0.4]), np.array([[0.4, 0.4, 0.05, 0.15]]))


def test_scores_are_the_likeliest_with_the_label_first() -> None:
    event = the_event(label([news("标题")], Fixed())[0])
    assert list(event.scores.items()) == [(LABELS[1], 0.4), (LABELS[0], 0.4), (LABELS[3], 0.15)]
    assert event.confidence == 0.4


@pytest.mark.parametrize(("threshold", "abstained"), [(0.4, False), (0.41, True)])
def test_an_event_says_where_the_model_abstains(threshold: float, abstained: bool) -> None:
    policy = Policy(confidence_threshold=threshold, top_scores=1, worker_version="")
    event = the_event(label([news("标题")], Fixed(), policy)[0])
    assert (event.abstained, event.label) == (abstained, LABELS[1])
