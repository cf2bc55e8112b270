"""What only a real Kafka does: it lacks topics, deletes records, and refuses batches for their size."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from kuaixun.schemas.dead_letter import DeadLetterReason
from kuaixun.worker import cli
from kuaixun.worker.delivery.promise import Guarantee
from kuaixun.worker.errors import OffsetsMissingError, TopicMissingError
from kuaixun.worker.kafka import plugin
from tests.worker.foreign_producer import write_with_header
from tests.worker.running import RunningWorker, running_worker
from tests.worker.test_contract import assert_each_once, event_of, letters, many, news, record
from tests.worker.topics import PATIENCE_SECONDS, Topics

Create = Callable[..., Topics]


def commit(topics: Topics, offsets: list[int]) -> None:
    """Commit for the group, which nobody has joined, an offset for each partition."""
    group = Consumer({"bootstrap.servers": topics.bootstrap, "group.id": topics.group})
    positions = [TopicPartition(topics.input, number, offset) for number, offset in enumerate(offsets)]
    group.commit(offsets=positions, asynchronous=False)
    group.close()


def truncate(topics: Topics, partition: int, before: int) -> None:
    """Delete a partition's records up to an offset, as retention does."""
    admin = AdminClient({"bootstrap.servers": topics.bootstrap})
    for deleted in admin.delete_records([TopicPartition(topics.input, partition, before)]).values():
        deleted.result(PATIENCE_SECONDS)


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize("flag", ["--input-topic", "--output-topic", "--dead-letter-topic"])
def test_a_missing_topic_is_named_and_not_created(
    kafka_topics: Create, command: str, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    topics = kafka_topics()
    assert cli.main([command, *topics.flags(), flag, "no.such.topic"]) == TopicMissingError.exit_code
    said = capsys.readouterr().err.splitlines()[-1]
    assert "no.such.topic does not exist" in said
    assert "--create --topic no.such.topic" in said
    assert (
        "no.such.topic"
        not in AdminClient({"bootstrap.servers": topics.bootstrap}).list_topics(timeout=PATIENCE_SECONDS).topics
    )


def test_all_missing_topics_are_named_at_once_each_with_its_own_setting(
    kafka_topics: Create, capsys: pytest.CaptureFixture[str]
) -> None:
    topics = kafka_topics()
    flags = ["--input-topic", "no.such.input", "--dead-letter-topic", "no.such.dead"]
    assert cli.main(["check", *topics.flags(), *flags]) == TopicMissingError.exit_code
    (said,) = capsys.readouterr().err.splitlines()
    assert re.search(r"no\.such\.input .*KUAIXUN_INPUT_TOPIC\. .*no\.such\.dead .*KUAIXUN_DEAD_LETTER_TOPIC\.$", said)
    assert "KUAIXUN_OUTPUT_TOPIC" not in said


def test_check_says_ready_where_all_is_well(kafka_topics: Create, capsys: pytest.CaptureFixture[str]) -> None:
    topics = kafka_topics()
    assert cli.main(["check", *topics.flags(), "--kafka", "sasl.password=hunter2"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "ready"
    assert topics.dead_letter in said.out
    assert re.search(
        r"^client +librdkafka [\d.]+, which hands over and takes a batch in one call$", said.out, re.MULTILINE
    )
    assert "hunter2" not in said.out + said.err


def test_check_tells_where_the_client_moves_message_by_message(
    kafka_topics: Create, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin, "PLUGIN", None)
    assert cli.main(["check", *kafka_topics().flags()]) == 0
    assert re.search(
        r"^client +librdkafka [\d.]+, message by message, .*built without C\+\+$", capsys.readouterr().out, re.MULTILINE
    )


@pytest.mark.parametrize("delivery", Guarantee)
def test_an_offset_that_is_gone_stops_the_worker_or_is_passed_aloud_as_chosen(
    kafka_topics: Create, delivery: Guarantee, caplog: pytest.LogCaptureFixture
) -> None:
    topics = kafka_topics(delivery)
    topics.write([record(0, news(f"n{i}", "标题")) for i in range(20)])
    commit(topics, [5, 0, 0, 0])
    truncate(topics, 0, 10)

    stopped = RunningWorker(topics.settings(auto_offset_reset="stop"))
    stopped.wait()
    assert isinstance(stopped.error, OffsetsMissingError)
    assert f"{topics.input}[0] is not on the topic any more" in str(stopped.error)
    assert topics.committed()[0] == 5

    with running_worker(topics.settings(auto_offset_reset="earliest")) as worker:
        topics.wait_for(topics.output, 10)
    assert worker.counts.labelled == 10
    assert topics.committed()[0] == 20
    assert any("not on the topic any more" in line for line in caplog.messages)


@pytest.mark.parametrize("delivery", Guarantee)
def test_beginning_at_the_latest_skips_nothing_across_a_restart(kafka_topics: Create, delivery: Guarantee) -> None:
    topics = kafka_topics(delivery)
    topics.write(many(8))
    settings = topics.settings(auto_offset_reset="latest")
    with running_worker(settings):
        topics.wait_for_offsets([2, 2, 2, 2])
    topics.write(many(4))
    with running_worker(settings):
        labelled = topics.read(topics.output, 4)
    assert_each_once(labelled, 4)


@pytest.mark.parametrize("delivery", Guarantee)
def test_beginning_at_the_latest_after_an_offset_that_is_gone_skips_nothing_across_a_restart(
    kafka_topics: Create, delivery: Guarantee
) -> None:
    topics = kafka_topics(delivery)
    topics.write(many(20))
    commit(topics, [1, 5, 5, 5])
    truncate(topics, 0, 3)
    settings = topics.settings(auto_offset_reset="latest")
    with running_worker(settings):
        topics.wait_for_offsets([5, 5, 5, 5])
    topics.write(many(4))
    with running_worker(settings):
        labelled = topics.read(topics.output, 4)
    assert_each_once(labelled, 4)


@pytest.mark.parametrize("delivery", Guarantee)
def test_a_record_that_the_output_topic_refuses_is_a_dead_letter_and_its_neighbours_are_labelled(
    kafka_topics: Create, delivery: Guarantee
) -> None:
    topics = kafka_topics(delivery, cleanup_policy="compact")
    keyless = news("keyless", "无键")
    topics.write([*many(40), record(0, keyless, None), record(1, None, None), *many(40, 40)])
    with running_worker(topics.settings(producer={"linger.ms": "20"})) as worker:
        labelled = topics.read(topics.output, 80)
        found = sorted(letters(topics, 2), key=lambda letter: letter.partition)
    assert_each_once(labelled, 80)
    assert [(letter.reason, letter.value) for letter in found] == [
        (DeadLetterReason.OUTPUT_REFUSED, keyless),
        (DeadLetterReason.OUTPUT_REFUSED, None),
    ]
    assert sum(topics.committed()) == 82
    assert delivery is Guarantee.EXACTLY_ONCE or worker.counts.consumed == 82


@pytest.mark.parametrize("delivery", Guarantee)
def test_records_refused_along_with_a_large_one_are_labelled_all_the_same(
    kafka_topics: Create, delivery: Guarantee
) -> None:
    # The broker refuses the whole batch of messages, and librdkafka reports that on each message in it.
    topics = kafka_topics(delivery, max_message_bytes="3000")
    large = news("large", "".join(chr(0x4E00 + i * 7 % 20000) for i in range(1500)))
    topics.write([*many(40), record(0, large), *many(40, 40)])
    with running_worker(topics.settings(producer={"linger.ms": "20", "compression.type": "none"})) as worker:
        labelled = topics.read(topics.output, 80)
        (letter,) = letters(topics, 1)
    assert_each_once(labelled, 80)
    assert (letter.reason, letter.value, letter.value_bytes_cut) == (DeadLetterReason.OUTPUT_TOO_LARGE, large, 0)
    assert sum(topics.committed()) == 81
    assert delivery is Guarantee.EXACTLY_ONCE or worker.counts.consumed == 81


@pytest.mark.parametrize("name", ["来源".encode("gbk"), b"\xff"])
def test_a_record_with_a_header_whose_name_is_not_utf8_is_a_dead_letter(kafka_topics: Create, name: bytes) -> None:
    topics = kafka_topics()
    topics.write(many(4))
    foreign = news("foreign", "标题")
    write_with_header(topics.bootstrap, topics.input, b"\x00k", foreign, name, b"v")
    topics.write(many(4, 4))
    with running_worker(topics.settings()):
        labelled = topics.read(topics.output, 8)
        (letter,) = letters(topics, 1)
    assert_each_once(labelled, 8)
    assert (letter.reason, letter.value, letter.headers) == (DeadLetterReason.INVALID_HEADERS, foreign, ())
    assert topics.read(topics.dead_letter, 1)[0].key() == b"\x00k"
    assert sum(topics.committed()) == 9


def test_of_producers_in_transactions_what_they_committed_is_labelled_and_a_marker_s_lag_is_left(
    kafka_topics: Create,
) -> None:
    topics = kafka_topics()
    writer = Producer({"bootstrap.servers": topics.bootstrap, "transactional.id": f"{topics.group}.writer"})
    writer.init_transactions(PATIENCE_SECONDS)
    for start, commits in ((0, True), (4, False), (8, True)):
        writer.begin_transaction()
        for one in many(4, start):
            writer.produce(topics.input, one.value, one.key, one.partition)
        writer.flush(PATIENCE_SECONDS)
        if commits:
            writer.commit_transaction(PATIENCE_SECONDS)
        else:
            writer.abort_transaction(PATIENCE_SECONDS)
    with running_worker(topics.settings()) as worker:
        labelled = topics.read(topics.output, 8)
        # Three records and three markers a partition: the last marker's place is nobody's to commit.
        topics.wait_for_offsets([5, 5, 5, 5])
    assert {event_of(message)["id"] for message in labelled} == {f"n{i}" for i in (0, 1, 2, 3, 8, 9, 10, 11)}
    assert worker.counts.consumed == 8
