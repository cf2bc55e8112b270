"""Rows per second through each step of the worker's own way, in batches of its own, on one thread.

What `make bench` tells beside the engines: the steps of stream/budget, of which this has a median of many calls each.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from kuaixun.export import Classifier
from kuaixun.export.bundle.reader import default_bundle_path, open_bundle
from kuaixun.worker.delivery.flights import Flight
from kuaixun.worker.kafka.records import records_of
from kuaixun.worker.kafka.sink import KafkaSink
from kuaixun.worker.labelling import label_batch
from kuaixun.worker.labels import Policy
from kuaixun.worker.outcomes import Outcomes
from kuaixun.worker.records import Records
from kuaixun.worker.routing import Routes, Target
from kuaixun.worker.settings import WorkerSettings
from tests.benchmarks.conftest import Measure
from tests.benchmarks.stream.null_engine import NullEngine
from tests.benchmarks.stream.without_broker import (
    CONFIRMATION_SECONDS,
    TOPIC,
    embedded_backlog,
    embedded_sink,
    messages_of,
)
from tests.benchmarks.worker.backlog import payloads
from tests.worker.topics import PARTITIONS

_native = pytest.importorskip("kuaixun.export._native", reason="the native engine is not built")

ROWS: int = WorkerSettings.model_fields["max_batch"].default
TOP_SCORES: int = WorkerSettings.model_fields["top_scores"].default
NOW = datetime(2026, 1, 2, tzinfo=UTC)
ROUTES = Routes(Target("labelled", PARTITIONS), Target("dead", 1))


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """Without an engine, whose speed `classify` tells."""
    bundle = open_bundle(default_bundle_path())
    return Classifier(bundle, NullEngine(len(bundle.manifest.labels)))


@pytest.fixture(scope="module")
def records() -> Records:
    return records_of(messages_of(payloads(), ROWS), TOPIC)


@pytest.fixture(scope="module")
def outcomes(records: Records, classifier: Classifier) -> Outcomes:
    policy = Policy(0.0, TOP_SCORES, "1")
    found = label_batch(records, classifier, policy, received_at=NOW, clock=lambda: NOW)
    assert None not in found.values
    return found


def test_read_batch(measure: Measure) -> None:
    with embedded_backlog(payloads()) as backlog:
        backlog.write(ROWS)
        assert len(backlog.read(ROWS)) == ROWS
        measure(lambda: backlog.read(ROWS), ROWS, before=lambda: backlog.write(ROWS))


def test_records_of_messages(measure: Measure) -> None:
    messages = messages_of(payloads(), ROWS)
    assert len(records_of(messages, TOPIC)) == ROWS
    measure(lambda: records_of(messages, TOPIC), ROWS)


def test_read_events(measure: Measure, records: Records) -> None:
    def read() -> Any:
        events = _native.RawEvents(records.values, records.partitions, records.offsets)
        events.read()
        return events

    assert len(read()) == ROWS
    measure(read, ROWS)


def test_write_events(measure: Measure, records: Records, classifier: Classifier) -> None:
    events = _native.RawEvents(records.values, records.partitions, records.offsets)
    events.read()
    predictions = classifier.classify(events)
    said = {
        "labels": tuple(map(msgspec.json.encode, classifier.labels)),
        "model": msgspec.json.encode(classifier.model_id),
        "topic": msgspec.json.encode(TOPIC),
        "received_at": msgspec.json.encode(NOW),
        "labelled_at": msgspec.json.encode(NOW),
        "top_scores": TOP_SCORES,
        "confidence_threshold": 0.0,
    }

    def write() -> list[bytes | None]:
        events.write(predictions.label_ids, predictions.confidences, predictions.scores, **said)
        values: list[bytes | None] = events.values()
        return values

    once, again = write(), write()
    assert once == again
    assert msgspec.json.decode(once[-1] or b"")["origin"]["offset"] == ROWS - 1
    measure(write, ROWS)


class Sender:
    """Sends one batch after the other, each once the one before is confirmed."""

    def __init__(self, sink: KafkaSink, records: Records, outcomes: Outcomes) -> None:
        self._sink, self._records, self._outcomes = sink, records, outcomes
        self.flight = Flight([], [])

    def send(self) -> None:
        """Address a batch's outcomes and hand them to the client."""
        self.flight = Flight(self._records, self._outcomes)
        self._sink.send_all(ROUTES.address_all(self.flight.records, self.flight.outcomes), self.flight)

    def send_and_wait(self) -> None:
        """Until the client is likely to have its confirmations, and nobody has asked."""
        self.send()
        time.sleep(5 * CONFIRMATION_SECONDS)

    def confirm(self) -> None:
        """Ask for what is confirmed, until all of it is."""
        while not self.flight.landed:
            self._sink.poll(0.1)


@pytest.fixture
def sender(records: Records, outcomes: Outcomes) -> Iterator[Sender]:
    with embedded_sink() as sink:
        yield Sender(sink, records, outcomes)


def test_address_and_send(measure: Measure, sender: Sender) -> None:
    sender.send()
    assert sender.flight.queued == ROWS
    measure(sender.send, ROWS, before=sender.confirm)


def test_delivery_reports(measure: Measure, sender: Sender) -> None:
    sender.send_and_wait()
    assert not sender.flight.landed
    sender.confirm()
    assert sender.flight.landed
    measure(sender.confirm, ROWS, before=sender.send_and_wait)
