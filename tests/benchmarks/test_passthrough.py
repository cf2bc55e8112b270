"""The yardstick writes what labelled events are to the client: as many bytes, and bytes that compress as well."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, cycle, islice

import pytest

from kuaixun.export import Classifier, open_classifier
from kuaixun.export.bundle.reader import default_bundle_path, open_bundle
from kuaixun.worker.delivery.promise import Guarantee
from kuaixun.worker.kafka.membership import PROPERTIES, GroupProtocol
from kuaixun.worker.labelling import Policy, label_batch
from kuaixun.worker.outcomes import Labelled
from kuaixun.worker.records import Record
from kuaixun.worker.settings import WorkerSettings
from tests.benchmarks.stream.null_engine import NullEngine
from tests.benchmarks.stream.passthrough import CONSUMER, GUARANTEES, tails
from tests.benchmarks.worker.backlog import payloads, various_titles

MESSAGES = 2_000
BATCH = 500
RECEIVED = datetime(2026, 5, 6, 1, 30, 7, 123456, tzinfo=UTC)
OF_A_BATCH = timedelta(microseconds=7_234)
WITHIN = 1 / 15


@pytest.fixture(scope="module")
def raw() -> list[bytes]:
    """Various headlines, as a backlog has them."""
    return list(islice(cycle(payloads()), MESSAGES))


def opened(engine: str) -> Classifier:
    if engine != "null":
        return open_classifier(engine=engine, device="cpu", threads=1)
    bundle = open_bundle(default_bundle_path())
    return Classifier(bundle, NullEngine(len(bundle.manifest.labels)))


def labelled(raw: Sequence[bytes], first: int, classifier: Classifier) -> list[bytes]:
    """What the worker writes of a batch, with the top scores that it lists by default."""
    policy = Policy(0.0, int(WorkerSettings.model_fields["top_scores"].default), "1")
    received_at = RECEIVED + first // BATCH * OF_A_BATCH
    records = [
        Record("news.raw", 0, 1_234_567 + number, b"%d" % number, value, (), None)
        for number, value in enumerate(raw, start=first)
    ]
    outcomes = label_batch(records, classifier, policy, received_at=received_at, clock=lambda: received_at + OF_A_BATCH)
    assert all(isinstance(outcome, Labelled) for outcome in outcomes)
    return [outcome.value for outcome in outcomes if isinstance(outcome, Labelled)]


def test_the_passthrough_is_a_member_as_the_worker_is() -> None:
    assert PROPERTIES[GroupProtocol.COOPERATIVE].items() <= CONSUMER.items()
    assert set(GUARANTEES) == set(Guarantee)


def test_a_backlog_repeats_itself_later_than_a_batch_ends() -> None:
    most: int = WorkerSettings.model_fields["max_batch"].default
    titles = various_titles()
    assert min(len(set(titles[start : start + most])) for start in range(0, len(titles) - most, most)) > 0.9 * most
    assert sum("<" in title for title in titles) > 100


@pytest.mark.parametrize("engine", ["native", "null"])
def test_what_the_passthrough_writes_has_as_many_bytes_and_compresses_as_labelled_events_do(
    raw: list[bytes], engine: str
) -> None:
    ours = b"".join(value + tail for value, tail in zip(raw, tails(), strict=False))
    classifier = opened(engine)
    batches = [labelled(raw[first:][:BATCH], first, classifier) for first in range(0, MESSAGES, BATCH)]
    theirs = b"".join(chain.from_iterable(batches))
    assert len(ours) == pytest.approx(len(theirs), rel=WITHIN)
    # Level 1 is what the standard library has that is nearest to LZ4, with which both are sent.
    assert len(zlib.compress(ours, 1)) == pytest.approx(len(zlib.compress(theirs, 1)), rel=WITHIN)
