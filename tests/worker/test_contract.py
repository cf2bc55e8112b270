"""What the worker promises, held against the embedded broker and against real Kafka alike."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message

from kuaixun.schemas.dead_letter import DeadLetter, DeadLetterReason, Header
from kuaixun.worker.errors import FatalKafkaError
from kuaixun.worker.kafka.sink import KafkaSink
from kuaixun.worker.messages import Outgoing
from kuaixun.worker.outcomes import Outcome
from kuaixun.worker.records import Record
from kuaixun.worker.streams import Report
from tests.worker.fake_classifier import POISON, FakeClassifier, expected_label
from tests.worker.one_by_one import OneByOne
from tests.worker.running import RunningWorker, running_worker
from tests.worker.topics import PARTITIONS, PATIENCE_SECONDS, Topics

ROOT = Path(__file__).resolve().parents[2]
# Not longer ago, for Kafka deletes records whose own timestamp is past retention.
AN_HOUR_AGO_MS = time.time_ns() // 1_000_000 - 3_600_000
HEADERS: tuple[Header, ...] = (("trace", b"\x00\xff"), ("trace", None), ("a", b""), ("trace", b"2"))


def news(identity: str, title: str) -> bytes:
    return json.dumps({"id": identity, "title": title}, ensure_ascii=False).encode()


def record(
    partition: int,
    value: bytes | None,
    key: bytes | None = b"k",
    headers: tuple[Header, ...] = (),
    at: int | None = None,
) -> Record:
    return Record("", partition, 0, key, value, headers, at)


def many(count: int, start: int = 0) -> list[Record]:
    return [
        record(i % PARTITIONS, news(f"n{i}", f"新闻{i}"), f"k{i % 7}".encode()) for i in range(start, start + count)
    ]


def event_of(message: Message) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(message.value() or b"")
    return event


def headers_of(message: Message) -> list[Any]:
    return list(message.headers() or [])


def letters(topics: Topics, count: int) -> list[DeadLetter]:
    messages = topics.read(topics.dead_letter, count)
    assert len(messages) == count
    return [DeadLetter.from_record(m.key(), m.value(), headers_of(m)) for m in messages]


def assert_each_once(messages: Sequence[Message], count: int) -> None:
    assert Counter(event_of(m)["id"] for m in messages) == Counter(f"n{i}" for i in range(count))


def assert_in_order(messages: Sequence[Message]) -> None:
    """Within each output partition, each input partition's records stand in the order of their offsets."""
    offsets: dict[tuple[int | None, int], list[int]] = defaultdict(list)
    for message in sorted(messages, key=lambda m: (m.partition(), m.offset())):
        origin = event_of(message)["origin"]
        offsets[message.partition(), origin["partition"]].append(origin["offset"])
    assert len({source for _, source in offsets}) == len(offsets), "an input partition went to two output partitions"
    assert all(numbers == sorted(numbers) for numbers in offsets.values())


def test_every_record_has_one_outcome_in_order_and_is_committed(topics: Topics) -> None:
    topics.write(many(500))
    with running_worker(topics.settings(max_batch=64)) as worker:
        labelled = topics.read(topics.output, 500)
    assert_each_once(labelled, 500)
    assert_in_order(labelled)
    assert topics.read(topics.dead_letter) == []
    assert topics.committed() == [125] * PARTITIONS
    assert (worker.counts.consumed, worker.counts.labelled) == (500, 500)
    for message in labelled:
        event = event_of(message)
        assert event["label"] == expected_label(event["title"])
        assert event["origin"]["topic"] == topics.input


def test_key_timestamp_and_headers_are_carried_through(topics: Topics) -> None:
    sent = [
        record(0, news("a", "标题"), b"\xff\x00key", HEADERS, AN_HOUR_AGO_MS),
        record(1, news("b", "标题"), None, (), AN_HOUR_AGO_MS + 1),
        record(2, news("c", "标题"), b"", HEADERS),
    ]
    before_ms = time.time_ns() // 1_000_000
    topics.write(sent)
    with running_worker(topics.settings()):
        labelled = {event_of(m)["id"]: m for m in topics.read(topics.output, 3)}
    assert [labelled[i].key() for i in "abc"] == [b"\xff\x00key", None, b""]
    assert [headers_of(labelled[i]) for i in "abc"] == [list(HEADERS), [], list(HEADERS)]
    assert [labelled[i].timestamp()[1] for i in "ab"] == [AN_HOUR_AGO_MS, AN_HOUR_AGO_MS + 1]
    assert labelled["c"].timestamp()[1] >= before_ms


def test_dead_letters_keep_the_bytes_and_say_why(topics: Topics) -> None:
    sent = {
        DeadLetterReason.INVALID_UTF8: b'{"id": "1", "title": "\xff"}',
        DeadLetterReason.INVALID_JSON: b'{"id": "1", "title": ',
        DeadLetterReason.INVALID_EVENT: b'{"id": "1", "title": 7}',
        DeadLetterReason.EMPTY_TITLE: b'{"id": "1", "title": "  "}',
        DeadLetterReason.CLASSIFICATION_FAILED: news("1", POISON),
    }
    good = many(8)
    topics.write(
        [*good[:4], *(record(1, value, b"\x00k", HEADERS, AN_HOUR_AGO_MS) for value in sent.values()), *good[4:]]
    )
    with running_worker(topics.settings()) as worker:
        found = {letter.reason: letter for letter in letters(topics, len(sent))}
        assert_each_once(topics.read(topics.output, 8), 8)
    assert {reason: letter.value for reason, letter in found.items()} == sent
    for letter in found.values():
        assert (letter.key, list(letter.headers), letter.value_bytes_cut) == (b"\x00k", list(HEADERS), 0)
        assert (letter.topic, letter.partition) == (topics.input, 1)
        assert letter.message
    assert sorted(letter.offset for letter in found.values()) == [1, 2, 3, 4, 5]
    assert worker.counts.dead_lettered == Counter(dict.fromkeys(sent, 1))
    assert {m.timestamp()[1] for m in topics.read(topics.dead_letter)} == {AN_HOUR_AGO_MS}
    assert topics.committed() == [2, 7, 2, 2]


def test_tombstones_pass_through_as_tombstones(topics: Topics) -> None:
    topics.write([record(0, None, b"gone", HEADERS), record(0, None, None), record(3, news("n0", "在"), b"here")])
    with running_worker(topics.settings()) as worker:
        messages = topics.read(topics.output, 3)
    tombstones = sorted((m for m in messages if m.value() is None), key=lambda m: m.offset() or 0)
    assert [(m.key(), headers_of(m)) for m in tombstones] == [(b"gone", list(HEADERS)), (None, [])]
    assert worker.counts.tombstones == 2
    assert topics.read(topics.dead_letter) == []


def test_an_output_too_large_becomes_a_dead_letter_cut_where_need_be(topics: Topics) -> None:
    # The first is too large once labelled, for this model's id is long; the second as it came; the third not at all.
    raw, huge = news("n1", "长" * 400), news("n2", "长" * 3000)
    long_winded = FakeClassifier(model_id="f" * 1000)
    topics.write([record(0, raw), record(0, huge), record(0, news("n0", "短"))])
    with running_worker(topics.settings(producer={"message.max.bytes": "2000"}), classifier=long_winded) as worker:
        labelled = topics.read(topics.output, 1)
        found = sorted(letters(topics, 2), key=lambda letter: letter.offset)
    assert_each_once(labelled, 1)
    assert [letter.reason for letter in found] == [DeadLetterReason.OUTPUT_TOO_LARGE] * 2
    assert (found[0].value, found[0].value_bytes_cut) == (raw, 0)
    kept = found[1].value or b""
    assert kept
    assert huge.startswith(kept)
    assert found[1].value_bytes_cut == len(huge) - len(kept) > 0
    assert len(kept) > 1000, "more than the surplus was cut"
    assert topics.committed() == [3, 0, 0, 0]
    assert worker.counts.dead_lettered == {DeadLetterReason.OUTPUT_TOO_LARGE: 2}


def test_a_record_too_large_for_the_dead_letter_topic_in_key_and_headers_is_one_all_the_same(topics: Topics) -> None:
    topics.write([record(0, b"{", b"k" * 5000, (("h", b"v" * 5000), ("i", b""))), record(0, news("n0", "短"))])
    with running_worker(topics.settings(producer={"message.max.bytes": "3000"})):
        labelled = topics.read(topics.output, 1)
        (letter,) = letters(topics, 1)
    assert_each_once(labelled, 1)
    assert (letter.value, letter.headers, letter.value_bytes_cut, letter.headers_cut) == (b"", (), 1, 2)
    assert letter.key == b"k" * len(letter.key or b"")
    assert len(letter.key or b"") + letter.key_bytes_cut == 5000
    assert len(letter.key or b"") > 500
    assert topics.committed() == [2, 0, 0, 0]


def test_a_full_queue_is_waited_for(topics: Topics) -> None:
    topics.write(many(500))
    with running_worker(topics.settings(producer={"queue.buffering.max.messages": "10"})):
        labelled = topics.read(topics.output, 500)
    assert_each_once(labelled, 500)
    assert_in_order(labelled)


LOST = "遗失".encode()


def lose(sink: KafkaSink, message: Outgoing, report: Report) -> None:
    """What a sink does that loses the event with this word in it: its report is a failure, the topic never sees it."""
    if message.value is not None and LOST in message.value:
        report(FatalKafkaError("lost on the way"))
    else:
        SEND(sink, message, report)


SEND = KafkaSink.send


def test_nothing_is_committed_past_an_outcome_that_was_not_confirmed(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_worker(topics.settings()):
        topics.write(many(20))
        topics.read(topics.output, 20)
    with monkeypatch.context() as patch:
        patch.setattr(KafkaSink, "send", lose)
        patch.setattr(KafkaSink, "send_all", OneByOne.send_all)
        topics.write([record(2, news("n20", "遗失")), *many(19, 21)])
        worker = RunningWorker(topics.settings())
        worker.wait()
    assert isinstance(worker.error, FatalKafkaError)
    assert topics.committed()[2] == 5
    with running_worker(topics.settings()):
        topics.wait_until_committed(40)
    labelled = topics.read(topics.output, 40)
    assert {event_of(m)["id"] for m in labelled} == {f"n{i}" for i in range(40)}


@contextmanager
def process(topics: Topics, *flags: str, module: str = "tests.worker.running") -> Iterator[subprocess.Popen[str]]:
    """A worker as a process of its own, ended by force where the test did not end it.

    It holds what comes after two batches of 60 until it is signalled; `kuaixun.worker.cli` holds none.
    """
    with subprocess.Popen(
        [sys.executable, "-m", module, "run", *topics.flags(), *flags],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as worker:
        try:
            yield worker
        finally:
            worker.kill()


def test_sigterm_finishes_the_batch_commits_and_leaves(topics: Topics) -> None:
    topics.write(many(500))
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        labelled_before = topics.wait_for(topics.output, 0)
        with process(topics, "--max-batch", "50") as worker:
            topics.read(topics.output, labelled_before + 1, "read_uncommitted")
            worker.send_signal(signal_number)
            _, said = worker.communicate(timeout=PATIENCE_SECONDS)
        assert worker.returncode == 0, said
        assert "Traceback" not in said
        # All that was written is committed, and nothing else.
        assert sum(topics.committed()) == topics.wait_for(topics.output, 0) < 500
    with running_worker(topics.settings()):
        labelled = topics.read(topics.output, 500)
    assert_each_once(labelled, 500)
    assert_in_order(labelled)


def first_appearances(messages: Sequence[Message]) -> list[Message]:
    """The messages without those that repeat an earlier one."""
    firsts: dict[str, Message] = {}
    for message in sorted(messages, key=lambda m: (m.partition(), m.offset())):
        firsts.setdefault(event_of(message)["id"], message)
    return list(firsts.values())


def test_two_workers_share_the_partitions_and_repeat_only_what_could_not_be_committed(
    topics: Topics, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kuaixun.worker")
    labelled_by: dict[str, int] = Counter()

    def observer(name: str) -> Any:
        def observe(records: Sequence[Record], _outcomes: Sequence[Outcome]) -> None:
            labelled_by[name] += len(records)

        return observe

    settings = topics.settings(max_batch=20)
    topics.write(many(400))
    sent = 400
    with running_worker(settings, observer("first")):
        topics.wait_for(topics.output, 1)
        with running_worker(settings, observer("second")):
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not labelled_by["second"] and time.monotonic() < deadline:
                topics.write(many(40, sent))
                sent += 40
                time.sleep(0.1)
        # The second has left: its partitions go back.
        topics.write(many(40, sent))
        sent += 40
        topics.wait_until_committed(sent)
    labelled = topics.read(topics.output, sent)
    assert labelled_by["first"]
    assert labelled_by["second"]
    firsts = first_appearances(labelled)
    assert_each_once(firsts, sent)
    assert_in_order(firsts)
    # A group that is about to change refuses commits; then the next owner of the partition labels again.
    if not any(
        "not committed during a rebalance" in line or "may be labelled twice" in line for line in caplog.messages
    ):
        assert len(labelled) == sent
