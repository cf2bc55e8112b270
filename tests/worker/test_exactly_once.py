"""Exactly once, on real Kafka: what a reader of committed records finds after kills, freezes, fences and aborts."""

from __future__ import annotations

import logging
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Message
from msgspec import structs

from kuaixun.worker import cli
from kuaixun.worker.delivery.promise import Guarantee
from kuaixun.worker.errors import FencedError, SettingError
from kuaixun.worker.kafka.transactional_sink import KafkaTransactionalSink
from kuaixun.worker.records import Partition, Record
from kuaixun.worker.streams import AbortableError, EndUnknownError
from tests.kafka_tools import TRANSACTIONS, kafka_tool
from tests.worker.running import RunningWorker, running_worker
from tests.worker.test_contract import assert_each_once, assert_in_order, many, process, record
from tests.worker.topics import PARTITIONS, PATIENCE_SECONDS, Topics

Create = Callable[..., Topics]
# Longer than any test: what the worker holds open stays open.
FOREVER = ("--transaction-interval-ms", "9000")
COUNT = 400
REFUSED = 600
POISON = [record(number, b"{", f"poison{number}".encode()) for number in range(PARTITIONS)]


def exactly_once(create: Create) -> Topics:
    return create(Guarantee.EXACTLY_ONCE)


def with_poison() -> list[Record]:
    """Headlines n0 to n399, one that cannot be labelled at the front of each partition."""
    return [*POISON, *many(COUNT)]


def assert_all_once(topics: Topics) -> None:
    """Every input of `with_poison` has one outcome, in order, and is committed."""
    labelled = topics.read(topics.output, COUNT)
    assert_each_once(labelled, COUNT)
    assert_in_order(labelled)
    assert Counter(m.key() for m in letters(topics)) == Counter(one.key for one in POISON)
    assert sum(topics.committed()) == COUNT + len(POISON)


def letters(topics: Topics) -> list[Message]:
    return topics.read(topics.dead_letter, len(POISON))


@pytest.mark.parametrize("named", [True, False], ids=["named", "nameless"])
def test_after_kill_9_in_a_transaction_every_input_has_one_outcome(kafka_topics: Create, named: bool) -> None:
    topics = exactly_once(kafka_topics)
    topics.write(with_poison())
    # A nameless worker's transaction is left to its timeout.
    name: dict[str, Any] = {"transactional_id": topics.group} if named else {"transaction_timeout_seconds": 2}
    flags = ("--transactional-id", topics.group) if named else ("--transaction-timeout-seconds", "9.5")
    with process(topics, "--max-batch", "60", *FOREVER, *flags) as worker:
        topics.read(topics.output, 60, "read_uncommitted")
        written = topics.read(topics.dead_letter, 1, "read_uncommitted")
        worker.send_signal(signal.SIGKILL)
        worker.communicate(timeout=PATIENCE_SECONDS)
    assert written, "the dead letters are part of the transaction"
    assert topics.read(topics.output) == topics.read(topics.dead_letter) == []
    assert sum(topics.committed()) == 0
    with running_worker(topics.settings(max_batch=60, **name)):
        topics.wait_for(topics.output, COUNT)
        letters(topics)
    assert_all_once(topics)


def test_readers_wait_for_a_killed_worker_s_transaction_which_can_be_ended_by_the_name_in_its_log(
    kafka_topics: Create,
) -> None:
    topics = exactly_once(kafka_topics)
    topics.write(many(COUNT))
    with process(topics, "--max-batch", "60", *FOREVER, "--transaction-timeout-seconds", "100") as worker:
        held_back = {m.partition() or 0 for m in topics.read(topics.output, 60, "read_uncommitted")}
        worker.send_signal(signal.SIGKILL)
        _, said = worker.communicate(timeout=PATIENCE_SECONDS)
    name = re.search(rf'"transactional_id":"({topics.group}-[0-9a-f-]{{36}})"', said)
    assert name is not None, said
    replace(topics, input=topics.output).write([record(number, b"of another writer") for number in held_back])
    assert topics.read(topics.output) == []
    kafka_tool(
        TRANSACTIONS, "--bootstrap-server", topics.bootstrap, "forceTerminateTransaction", "--transactionalId", name[1]
    )
    assert {(m.partition(), m.value()) for m in topics.read(topics.output, len(held_back))} == {
        (number, b"of another writer") for number in held_back
    }


def test_a_frozen_worker_that_comes_back_to_partitions_of_another_writes_nothing_twice(kafka_topics: Create) -> None:
    topics = exactly_once(kafka_topics)
    topics.write(with_poison())
    with process(topics, "--max-batch", "60", *FOREVER) as frozen:
        topics.read(topics.output, 60, "read_uncommitted")
        frozen.send_signal(signal.SIGSTOP)
        with running_worker(topics.settings(max_batch=60)):
            topics.wait_for_offsets([COUNT // PARTITIONS + 1] * PARTITIONS)
            frozen.send_signal(signal.SIGCONT)
            frozen.send_signal(signal.SIGTERM)  # lets go of the batch that it holds, and would commit it
            _, said = frozen.communicate(timeout=PATIENCE_SECONDS)
            topics.wait_for(topics.output, COUNT)
            letters(topics)
    assert "transaction undone" in said
    assert_all_once(topics)


def test_a_worker_whose_name_another_takes_is_fenced_and_says_so(kafka_topics: Create) -> None:
    topics = exactly_once(kafka_topics)
    settings = topics.settings(transactional_id=topics.group)
    first = RunningWorker(settings)
    topics.write(many(40))
    topics.wait_for(topics.output, 40)
    with running_worker(settings):
        while first.error is None and first.running:
            topics.write(many(4, 1000))
            time.sleep(0.05)
        first.wait()
    assert isinstance(first.error, FencedError)
    assert "KUAIXUN_TRANSACTIONAL_ID" in str(first.error)
    labelled = topics.read(topics.output)
    places = Counter((m.partition(), m.key(), m.value()) for m in labelled)
    assert len(labelled) == sum(topics.committed()) == len(places)


class Spoiling:
    """Commits of the real sink, the second of which ends as a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception, *, commits: bool) -> None:
        self.calls = 0
        self.renewed = 0
        commit, renew = KafkaTransactionalSink.commit, KafkaTransactionalSink.renew

        def spoilt(
            sink: KafkaTransactionalSink, offsets: Mapping[Partition, int], member: bytes, timeout_seconds: float
        ) -> None:
            self.calls += 1
            if self.calls != 2:
                return commit(sink, offsets, member, timeout_seconds)
            if commits:
                commit(sink, offsets, member, timeout_seconds)
            raise error

        def renewed(sink: KafkaTransactionalSink, timeout_seconds: float) -> None:
            self.renewed += 1
            renew(sink, timeout_seconds)

        monkeypatch.setattr(KafkaTransactionalSink, "commit", spoilt)
        monkeypatch.setattr(KafkaTransactionalSink, "renew", renewed)


@pytest.mark.parametrize(
    ("error", "commits", "producers"),
    [
        (AbortableError("rebalance"), False, 1),
        (EndUnknownError("late"), False, 2),
        (EndUnknownError("late, and done"), True, 2),
    ],
)
def test_a_transaction_that_ends_badly_is_written_again_only_if_it_is_not_committed(
    kafka_topics: Create, monkeypatch: pytest.MonkeyPatch, error: Exception, commits: bool, producers: int
) -> None:
    topics = exactly_once(kafka_topics)
    topics.write(with_poison())
    spoiling = Spoiling(monkeypatch, error, commits=commits)
    with running_worker(topics.settings(max_batch=60, transaction_interval_ms=1)) as worker:
        topics.wait_for(topics.output, COUNT)
        letters(topics)
    assert_all_once(topics)
    assert spoiling.renewed == producers
    assert worker.counts.labelled == COUNT
    assert (worker.counts.consumed > COUNT + len(POISON)) is not commits


def test_hundreds_of_records_that_the_output_topic_refuses_are_dead_letters_and_the_worker_goes_on(
    kafka_topics: Create,
) -> None:
    topics = kafka_topics(Guarantee.EXACTLY_ONCE, cleanup_policy="compact")
    # A compacted topic takes no record without a key.
    topics.write([replace_key(one, i % 2 == 0) for i, one in enumerate(many(REFUSED))])
    # Not so long as all of them take.
    with running_worker(topics.settings(outage_seconds=5, transaction_timeout_seconds=5)) as worker:
        written = topics.read(topics.dead_letter, REFUSED // 2)
        labelled = topics.read(topics.output, REFUSED // 2)
    assert len({(m.partition(), m.value()) for m in written}) == len(written) == REFUSED // 2
    assert len({m.value() for m in labelled}) == len(labelled) == REFUSED // 2
    assert_in_order(labelled)
    assert sum(topics.committed()) == REFUSED
    assert worker.counts.dead_lettered.total() == REFUSED // 2


def replace_key(one: Record, keyless: bool) -> Record:
    return structs.replace(one, key=None) if keyless else one


def test_beginning_at_the_latest_commits_where_it_begins(kafka_topics: Create) -> None:
    topics = exactly_once(kafka_topics)
    topics.write(many(8))
    with running_worker(topics.settings(auto_offset_reset="latest")):
        topics.wait_for_offsets([2, 2, 2, 2])


def test_a_quiet_topic_opens_no_transaction(kafka_topics: Create, monkeypatch: pytest.MonkeyPatch) -> None:
    topics = exactly_once(kafka_topics)
    topics.write(many(4))
    begun = []
    begin = KafkaTransactionalSink.begin

    def counted(sink: KafkaTransactionalSink) -> None:
        begun.append(sink)
        begin(sink)

    monkeypatch.setattr(KafkaTransactionalSink, "begin", counted)
    with running_worker(topics.settings(max_delay_ms=500)):
        topics.wait_for(topics.output, 4)
        time.sleep(1)
    assert 1 <= len(begun) <= PARTITIONS


def test_check_says_what_exactly_once_needs_and_leaves_a_running_worker_of_the_same_name_alone(
    kafka_topics: Create, capsys: pytest.CaptureFixture[str]
) -> None:
    topics = exactly_once(kafka_topics)
    topics.write(many(40))
    named = ["--transactional-id", topics.group]
    with running_worker(topics.settings(transactional_id=topics.group)):
        topics.wait_for(topics.output, 40)
        assert cli.main(["check", *topics.flags(), *named]) == 0
        assert f"transactional id {topics.group}, which only run tries" in capsys.readouterr().out
        assert cli.main(["check", *topics.flags()]) == 0
        assert f"transactional ids that begin with {topics.group}-, one of which was granted" in capsys.readouterr().out
        topics.write(many(40, 40))
        topics.wait_for(topics.output, 80)


def test_a_timeout_longer_than_the_brokers_allow_is_a_wrong_setting(
    kafka_topics: Create, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "librdkafka")
    topics = exactly_once(kafka_topics)
    flags = ["--transaction-timeout-seconds", "1000", "--outage-seconds", "1000"]
    flags += ["--consumer", "max.poll.interval.ms=2000000"]
    assert cli.main(["check", *topics.flags(), *flags]) == SettingError.exit_code
    assert "KUAIXUN_TRANSACTION_TIMEOUT_SECONDS" in capsys.readouterr().err
