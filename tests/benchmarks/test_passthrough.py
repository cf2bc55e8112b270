"""The yardstick writes what labelled events are to the client: as many bytes, and bytes that compress as well.

Each once, in transactions too, during whose ends it reads on.
"""

from __future__ import annotations

import signal
import time
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, cycle, islice

import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from kuaixun.export import Classifier, open_classifier
from kuaixun.export.bundle.reader import default_bundle_path, open_bundle
from kuaixun.worker.delivery.promise import Guarantee
from kuaixun.worker.kafka.client_defaults import PRODUCER_DEFAULTS
from kuaixun.worker.kafka.membership import PROPERTIES, GroupProtocol
from kuaixun.worker.labelling import label_batch
from kuaixun.worker.labels import Policy
from kuaixun.worker.outcomes import Labelled
from kuaixun.worker.records import Record
from kuaixun.worker.settings import WorkerSettings
from tests.benchmarks.stream import passthrough
from tests.benchmarks.stream.contenders import CONTENDERS
from tests.benchmarks.stream.drain import started
from tests.benchmarks.stream.null_engine import NullEngine
from tests.benchmarks.stream.passthrough import (
    CONSUMER,
    GUARANTEES,
    PRODUCER,
    PRODUCER_VARIABLE,
    Passthrough,
    producer_properties,
    tails,
)
from tests.benchmarks.stream.progress import Progress
from tests.benchmarks.worker.backlog import payloads, various_titles, write_backlog
from tests.benchmarks.worker.own_topics import own_topics
from tests.worker.topics import PARTITIONS, PATIENCE_SECONDS

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


def test_the_passthrough_produces_as_the_worker_does_where_nothing_else_is_said() -> None:
    assert producer_properties({}) == PRODUCER
    assert PRODUCER_DEFAULTS.items() <= PRODUCER.items()
    assert producer_properties({PRODUCER_VARIABLE: '{"linger.ms": 20}'}) == {**PRODUCER, "linger.ms": 20}


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


class Headlines:
    """A consumer of so many headlines in one partition, of which a call hands over two."""

    def __init__(self, count: int) -> None:
        self.read, self._count = 0, count

    def subscribe(self, _topics: list[str]) -> None:
        """There is one."""

    def consume(self, most: int, _seconds: float) -> list[Message]:
        first = self.read
        self.read = min(self._count, first + min(most, 2))
        return [
            Message(topic="raw", partition=0, offset=offset, key=b"%d" % offset, value=b"{}", timestamp=(1, offset + 1))
            for offset in range(first, self.read)
        ]

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition("raw", 0)]

    def position(self, _: object) -> list[TopicPartition]:
        return [TopicPartition("raw", 0, self.read)]

    def consumer_group_metadata(self) -> object:
        return object()

    def close(self) -> None:
        """Nothing is open."""


class Transactions:
    """A producer whose transactions end once so many headlines were read meanwhile; keeps each with its offset."""

    def __init__(self, headlines: Headlines, meanwhile: int) -> None:
        self._headlines, self._meanwhile = headlines, meanwhile
        self.open: list[bytes] | None = None
        self.ended: list[tuple[list[bytes], int]] = []
        self.loop: Passthrough | None = None

    def init_transactions(self) -> None:
        """Nothing is open."""

    def begin_transaction(self) -> None:
        assert self.open is None
        self.open = []

    def produce(self, _topic: str, _value: bytes, key: bytes, _partition: int, report: object, *_: object) -> None:
        assert report is None, "it costs a call each, and says nothing that the transaction does not"
        assert self.open is not None
        self.open.append(key)

    def poll(self, _seconds: float) -> None:
        """There are no reports."""

    def send_offsets_to_transaction(self, offsets: list[TopicPartition], _member: object) -> None:
        self._offset = offsets[0].offset
        until = self._headlines.read + self._meanwhile
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._headlines.read < until and time.monotonic() < deadline:
            time.sleep(0.001)

    def commit_transaction(self) -> None:
        assert self.open is not None
        self.ended.append((self.open, self._offset))
        self.open = None
        if len(self.ended) == 2 and self.loop is not None:
            self._meanwhile = 0
            self.loop.stopped = True

    def flush(self) -> None:
        """Nothing is on its way."""


def test_the_passthrough_reads_on_while_a_transaction_ends_and_commits_what_is_in_it_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    headlines = Headlines(1_000)
    transactions = Transactions(headlines, meanwhile=4)
    monkeypatch.setattr(passthrough, "Consumer", lambda _: headlines)
    monkeypatch.setattr(passthrough, "Producer", lambda _: transactions)
    monkeypatch.setattr(passthrough, "TRANSACTION_SECONDS", 0.0)
    transactions.loop = Passthrough("", "raw", "labelled", "group", "exactly-once")
    transactions.loop.run()
    (first, offset), (second, next_offset) = transactions.ended
    assert [int(key) for key in first + second] == list(range(next_offset))
    assert (len(first), len(first) + len(second)) == (offset, next_offset)
    assert len(second) >= 4
    assert transactions.open is None


@pytest.mark.parametrize(
    ("name", "delivery"),
    [*(("passthrough", delivery) for delivery in Guarantee), ("passthrough-by-batch", Guarantee.AT_LEAST_ONCE)],
)
def test_the_passthrough_moves_each_headline_once(kafka_bootstrap: str, name: str, delivery: Guarantee) -> None:
    messages = 5_000
    with own_topics(kafka_bootstrap, delivery=delivery) as topics:
        write_backlog(topics, messages)
        with started(CONTENDERS[name], topics, 1) as (member,):
            progress = Progress(topics)
            assert progress.wait_for(messages, [member]).count == messages
            progress.close()
            member.end(signal.SIGTERM)
        assert member.process.returncode == 0, "".join(member.said)
        reader = Consumer({"bootstrap.servers": kafka_bootstrap, "group.id": f"{topics.group}-reader"})
        reader.assign([TopicPartition(topics.output, number, 0) for number in range(PARTITIONS)])
        keys: list[int] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(keys) < messages and time.monotonic() < deadline:
            keys += [int(message.key() or 0) for message in reader.consume(messages, 0.5)]
        keys += [int(message.key() or 0) for message in reader.consume(messages, 0.5)]
        reader.close()
    assert sorted(keys) == list(range(messages))
