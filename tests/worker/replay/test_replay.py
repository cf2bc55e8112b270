"""Replaying dead letters on real Kafka: each once, however often it is asked for, killed, or refused by the broker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from kuaixun.export import Predictions
from kuaixun.schemas.dead_letter import PREFIX, DeadLetter, DeadLetterReason, Header
from kuaixun.worker import cli
from kuaixun.worker.errors import FencedError
from kuaixun.worker.kafka.transactional_sink import KafkaTransactionalSink
from kuaixun.worker.replay.run import run_replay
from kuaixun.worker.replay.selection import Passed, Request, Selection
from kuaixun.worker.replay.tally import Tally
from kuaixun.worker.stop import Stop
from kuaixun.worker.streams import AbortableError, EndUnknownError
from tests.worker.fake_classifier import POISON, FakeClassifier
from tests.worker.running import running_worker
from tests.worker.test_contract import AN_HOUR_AGO_MS, HEADERS, event_of, headers_of, letters, news, record
from tests.worker.topics import PARTITIONS, PATIENCE_SECONDS, Topics

Create = Callable[..., Topics]
ROOT = Path(__file__).resolve().parents[3]


def letter(number: int, title: str = "新闻", **changes: Any) -> DeadLetter:
    """The letter of a headline that could not be labelled then, and can be now."""
    fields: dict[str, Any] = {
        "key": f"k{number}".encode(),
        "value": news(f"n{number}", f"{title}{number}" if title.strip() else title),
        "headers": HEADERS,
        "reason": DeadLetterReason.CLASSIFICATION_FAILED,
        "message": "the engine was away",
        "topic": "",
        "partition": number % PARTITIONS,
        "offset": number // PARTITIONS,
        "worker_version": "0.0.1",
        **changes,
    }
    return DeadLetter(**fields)


def bury(topics: Topics, buried: Sequence[DeadLetter], at_ms: int = AN_HOUR_AGO_MS) -> None:
    """Put letters on the dead-letter topic, as a worker did."""
    producer = Producer({"bootstrap.servers": topics.bootstrap})
    for one in buried:
        headers: list[Header] = [
            (name, topics.input.encode() if name == PREFIX + "topic" and content == b"" else content)
            for name, content in one.to_headers()
        ]
        producer.produce(topics.dead_letter, one.value, one.key, one.partition, headers=list(headers), timestamp=at_ms)
    assert producer.flush(PATIENCE_SECONDS) == 0


def replay(topics: Topics, dry_run: bool = False, settings: Mapping[str, Any] | None = None, **asked: Any) -> Tally:
    request = Request(Selection(**asked), dry_run=dry_run)
    tally = run_replay(topics.settings(**(settings or {})), request, Stop(60), FakeClassifier())
    assert tally.complete
    assert tally.read == tally.replayed + tally.passed.total()
    return tally


def labelled_ids(topics: Topics, at_least: int = 0) -> Counter[str]:
    return Counter(event_of(message)["id"] for message in topics.read(topics.output, at_least))


def ids(count: int, start: int = 0) -> Counter[str]:
    return Counter(f"n{number}" for number in range(start, count))


def test_what_a_worker_could_not_label_is_labelled_as_if_it_had_been_then(kafka_topics: Create) -> None:
    topics = kafka_topics()
    topics.write(
        [record(i % PARTITIONS, news(f"n{i}", POISON), f"k{i}".encode(), HEADERS, AN_HOUR_AGO_MS) for i in range(8)]
    )
    with running_worker(topics.settings()):
        letters(topics, 8)
    cured = FakeClassifier()
    cured.classify = lambda texts: FakeClassifier().classify(["" + text.replace(POISON, "药") for text in texts])  # type: ignore[method-assign]
    tally = run_replay(topics.settings(), Request(), Stop(60), cured)
    assert (tally.read, tally.labelled, tally.complete) == (8, 8, True)
    messages = topics.read(topics.output, 8)
    for message in messages:
        event = event_of(message)
        number = int(event["id"][1:])
        assert event["origin"] == {"topic": topics.input, "partition": number % PARTITIONS, "offset": number // 4}
        assert (message.key(), headers_of(message)) == (f"k{number}".encode(), list(HEADERS))
        assert (message.partition(), message.timestamp()[1]) == (number % PARTITIONS, AN_HOUR_AGO_MS)
    again = run_replay(topics.settings(), Request(), Stop(60), cured)
    assert (again.labelled, again.passed) == (0, {Passed.DEALT_WITH_BEFORE: 8})
    assert labelled_ids(topics) == ids(8)


def test_replays_of_parts_in_any_order_label_each_letter_once(kafka_topics: Create) -> None:
    topics = kafka_topics()
    reasons = [DeadLetterReason.CLASSIFICATION_FAILED, DeadLetterReason.INVALID_EVENT]
    bury(topics, [letter(i, reason=reasons[i % 3 == 0]) for i in range(30)])
    bury(topics, [letter(i) for i in range(30, 40)], AN_HOUR_AGO_MS + 5000)
    late = replay(topics, since_ms=AN_HOUR_AGO_MS + 5000)
    assert (late.labelled, late.passed) == (10, {Passed.NOT_ASKED_FOR: 30})
    one_reason = replay(topics, reasons=frozenset({DeadLetterReason.INVALID_EVENT}))
    assert (one_reason.labelled, one_reason.passed) == (10, {Passed.NOT_ASKED_FOR: 30})
    early = replay(topics, until_ms=AN_HOUR_AGO_MS + 5000)
    assert early.labelled == 20
    assert replay(topics).passed == {Passed.DEALT_WITH_BEFORE: 40}
    assert labelled_ids(topics) == ids(40)


def test_a_dry_run_counts_and_writes_nothing(kafka_topics: Create) -> None:
    topics = kafka_topics()
    bury(topics, [*(letter(i) for i in range(8)), letter(8, " ")])
    dry = replay(topics, dry_run=True)
    assert (dry.labelled, dry.dead_lettered) == (8, {DeadLetterReason.EMPTY_TITLE: 1})
    assert topics.read(topics.output) == []
    assert len(topics.read(topics.dead_letter)) == 9
    assert replay(topics).labelled == 8


def test_what_still_fails_is_a_letter_again_that_says_how_often_and_no_replay_goes_in_circles(
    kafka_topics: Create,
) -> None:
    topics = kafka_topics()
    bury(topics, [letter(0, POISON), letter(1)])
    for times in (1, 2):
        tally = replay(topics, max_replays=2)
        assert tally.dead_lettered == {DeadLetterReason.CLASSIFICATION_FAILED: 1}
        newest = max(letters(topics, 2 + times), key=lambda one: one.failed_replays)
        assert newest.failed_replays == times
        assert (newest.topic, newest.partition, newest.offset) == (topics.input, 0, 0)
        assert (newest.value, newest.headers) == (letter(0, POISON).value, HEADERS)
    assert replay(topics, max_replays=2).passed == {Passed.DEALT_WITH_BEFORE: 3, Passed.EXHAUSTED: 1}
    # Left, not dealt with: who allows more gets it.
    assert replay(topics, max_replays=3).dead_lettered.total() == 1
    assert labelled_ids(topics) == ids(2, 1)


def test_letters_that_are_not_whole_or_no_letters_are_refused_and_stand_in_nobody_s_way(
    kafka_topics: Create, caplog: pytest.LogCaptureFixture
) -> None:
    topics = kafka_topics()
    foreign = Producer({"bootstrap.servers": topics.bootstrap})
    foreign.produce(topics.dead_letter, b"{}", partition=0)
    assert foreign.flush(PATIENCE_SECONDS) == 0
    cut: list[dict[str, Any]] = [{"value_bytes_cut": 1}, {"headers_cut": 1}, {"key_bytes_cut": 1}]
    cut.append({"reason": DeadLetterReason.INVALID_HEADERS})
    bury(topics, [letter(i, **one) for i, one in enumerate(cut)])
    bury(topics, [letter(4), letter(5), letter(5), letter(6, topic="another.topic")])
    tally = replay(topics)
    assert tally.passed == {Passed.CUT: 4, Passed.UNREADABLE: 1, Passed.REPEATED: 1, Passed.OF_ANOTHER_TOPIC: 1}
    assert labelled_ids(topics) == ids(6, 4)
    assert sum("is refused" in line and topics.dead_letter in line for line in caplog.messages) == 5


def test_a_letter_repeated_after_it_was_replayed_is_not_labelled_again(kafka_topics: Create) -> None:
    topics = kafka_topics()
    bury(topics, [letter(0), letter(1)])
    assert replay(topics).labelled == 2
    bury(topics, [letter(0)])
    assert replay(topics).passed == {Passed.DEALT_WITH_BEFORE: 2, Passed.REPEATED: 1}


@pytest.mark.parametrize("mark", [signal.SIGKILL, signal.SIGTERM])
def test_a_replay_that_is_ended_in_its_midst_and_run_again_labels_nothing_twice(
    kafka_topics: Create, mark: signal.Signals
) -> None:
    topics = kafka_topics()
    bury(topics, [letter(i) for i in range(200)])
    # All is read at once, and the third transaction is held: two are committed, and of the third nothing may be seen.
    command = [sys.executable, "-m", "tests.worker.running", "replay", *topics.flags(), "--rate", "20", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as first:
        topics.wait_for(topics.output, 40)
        first.send_signal(mark)
        said, _ = first.communicate(timeout=PATIENCE_SECONDS)
    done = labelled_ids(topics).total()
    if mark is signal.SIGTERM:
        assert (first.returncode, json.loads(said)["complete"], json.loads(said)["labelled"]) == (15, False, done)
    assert 40 <= done < 200
    assert replay(topics).labelled == 200 - done
    assert labelled_ids(topics) == ids(200)


class Blocking(FakeClassifier):
    """Waits at its second batch until another replay is done."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.go_on = threading.Event(), threading.Event()

    def classify(self, texts: Sequence[str]) -> Predictions:
        if self.calls:
            self.reached.set()
            assert self.go_on.wait(PATIENCE_SECONDS)
        return super().classify(texts)


def test_of_two_replays_at_once_the_first_is_fenced_and_each_letter_labelled_once(kafka_topics: Create) -> None:
    topics = kafka_topics()
    bury(topics, [letter(i) for i in range(40)])
    classifier, errors = Blocking(), list[BaseException]()

    def first() -> None:
        try:
            run_replay(topics.settings(max_batch=10), Request(), Stop(60), classifier)
        except FencedError as error:
            errors.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    assert classifier.reached.wait(PATIENCE_SECONDS)
    assert replay(topics).labelled == 30
    classifier.go_on.set()
    thread.join(PATIENCE_SECONDS)
    assert len(errors) == 1
    assert labelled_ids(topics) == ids(40)


@pytest.mark.parametrize(
    ("error", "commits"),
    [(AbortableError("spoilt"), False), (EndUnknownError("late"), False), (EndUnknownError("late, and done"), True)],
)
def test_a_transaction_that_ends_badly_is_written_again_only_if_it_is_not_committed(
    kafka_topics: Create, monkeypatch: pytest.MonkeyPatch, error: Exception, commits: bool
) -> None:
    topics = kafka_topics()
    bury(topics, [letter(i) for i in range(40)])
    commit, calls = KafkaTransactionalSink.commit, Counter[str]()

    def spoilt(sink: KafkaTransactionalSink, *arguments: Any) -> None:
        calls["commit"] += 1
        if calls["commit"] != 2 or commits:
            commit(sink, *arguments)
        if calls["commit"] == 2:
            raise error

    monkeypatch.setattr(KafkaTransactionalSink, "commit", spoilt)
    tally = replay(topics, settings={"max_batch": 10})
    assert tally.labelled == 40
    assert calls["commit"] >= 4
    assert labelled_ids(topics) == ids(40)


def test_an_event_that_the_output_topic_does_not_take_is_a_letter_again_and_its_neighbours_are_labelled(
    kafka_topics: Create,
) -> None:
    topics = kafka_topics(max_message_bytes="2000")
    large = news("n3", "长" * 900)
    bury(topics, [*(letter(i) for i in range(3)), letter(3, value=large, partition=0, offset=9)])
    tally = replay(topics, settings={"producer": {"compression.type": "none"}})
    assert (tally.labelled, tally.dead_lettered) == (3, {DeadLetterReason.OUTPUT_TOO_LARGE: 1})
    again = next(one for one in letters(topics, 5) if one.failed_replays)
    assert (again.value, again.reason, again.offset) == (large, DeadLetterReason.OUTPUT_TOO_LARGE, 9)
    assert labelled_ids(topics) == ids(3)


def test_the_command_line_asks_and_answers(
    kafka_topics: Create, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = kafka_topics()
    bury(topics, [letter(i) for i in range(4)])
    bury(topics, [letter(4, reason=DeadLetterReason.INVALID_EVENT)])
    monkeypatch.setattr("kuaixun.worker.replay.run.open_settings_classifier", lambda _: FakeClassifier())
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(AN_HOUR_AGO_MS / 1000 - 60))
    asked = ["--reason", "invalid_event", "--reason", "empty_title", "--since", since, "--rate", "1000"]
    assert cli.main(["replay", *topics.flags(), *asked, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["read"], said["labelled"], said["not_asked_for"], said["complete"]) == (5, 1, 4, True)
    assert cli.main(["replay", *topics.flags(), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "4  labelled" in said
    assert "nothing was written" in said
    assert labelled_ids(topics) == ids(5, 4)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--since", "2026-05-06"], "no zone"),
        (["--until", "noon"], "no time such as"),
        (["--rate", "0"], "above 0"),
        (["--max-replays", "0"], "from 1 on"),
        (["--reason", "bored"], "invalid choice (choose from"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_one_line(
    flags: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["replay", *flags])
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert says in said
    assert len(said.splitlines()) == 1
