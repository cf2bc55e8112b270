"""Rows per second through the engines and through Python's codec, on one thread and on the headlines of the demo.

The codec reads and writes what C++ leaves to it, event by event; what the worker does with the usual ones is measured
in test_hot_path.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import cycle, islice

import msgspec
import pytest

from kuaixun.export import Classifier, open_classifier
from kuaixun.schemas.codec import decode_raw_news, encode_labelled_news
from kuaixun.schemas.events import LabelledNews, Origin, RawNews
from kuaixun.worker.demo.headlines import own_headlines, read_headlines
from tests.benchmarks.conftest import Measure

BATCH_ROWS = 256
ENGINES = {"native": "native", "folded": "torchscript", "convolutional": "torchscript-convolutional"}


@pytest.fixture(scope="module")
def news() -> list[RawNews]:
    """A batch of headlines, dirty ones included."""
    events = [headline.event for headline in read_headlines(own_headlines()) if headline.event is not None]
    return [decode_raw_news(msgspec.json.encode(event)) for event in islice(cycle(events), BATCH_ROWS)]


@pytest.fixture(scope="module")
def titles(news: list[RawNews]) -> list[str]:
    return [event.title for event in news]


@pytest.fixture(scope="module", params=ENGINES)
def classifier(request: pytest.FixtureRequest) -> Classifier:
    return open_classifier(engine=ENGINES[request.param], device="cpu", threads=1)


@pytest.mark.parametrize("rows", [1, BATCH_ROWS])
def test_classify(measure: Measure, classifier: Classifier, titles: list[str], rows: int) -> None:
    batch = titles[:rows]
    assert len(classifier.classify(batch)) == rows
    measure(lambda: classifier.classify(batch), rows)


def test_encode_titles(measure: Measure, titles: list[str]) -> None:
    pipeline = open_classifier(device="cpu", threads=1).bundle.pipeline
    assert len(pipeline.encode(titles)) == len(titles)
    measure(lambda: pipeline.encode(titles), len(titles))


def test_decode_raw_news(measure: Measure, news: list[RawNews]) -> None:
    payloads = [msgspec.json.encode(event) for event in news]
    measure(lambda: [decode_raw_news(payload) for payload in payloads], len(payloads))


def test_encode_labelled_news(measure: Measure, news: list[RawNews]) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    events = [
        LabelledNews(
            id=event.id,
            title=event.title,
            label="finance",
            confidence=0.75,
            scores={"finance": 0.75, "stocks": 0.2, "realty": 0.05},
            model="0" * 64,
            origin=Origin(topic="news.raw", partition=0, offset=offset),
            received_at=now,
            labelled_at=now,
            published_at=event.published_at,
            source=event.source,
            url=event.url,
            language=event.language,
        )
        for offset, event in enumerate(news)
    ]
    measure(lambda: [encode_labelled_news(event) for event in events], len(events))
