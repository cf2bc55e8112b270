"""What the worker counts on of the client library as it is pinned: how it waits, closes, fails and partitions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pytest
from confluent_kafka import KafkaError

from kuaixun.worker.errors import FatalKafkaError
from kuaixun.worker.gathering import ENOUGH
from kuaixun.worker.kafka.sink import KafkaSink
from kuaixun.worker.kafka.source import KafkaSource
from kuaixun.worker.records import Partition, Record
from kuaixun.worker.routing import Partitioning
from tests.kafka_broker import create_topic
from tests.kafka_tools import CONSOLE_PRODUCER, kafka_tool
from tests.worker.mock_broker import MockBroker
from tests.worker.running import RunningWorker, running_worker
from tests.worker.test_contract import assert_each_once, first_appearances, many, news, record
from tests.worker.test_group_protocols import Indifferent
from tests.worker.topics import PARTITIONS, PATIENCE_SECONDS, Topics

Create = Callable[..., Topics]
FAR_OFF_SECONDS = 3600.0  # a wait for so long would run into the test's own limit
PRODUCE = 0  # its API key


def test_a_batch_is_waited_for_until_it_is_full_or_its_delay_over_and_is_never_empty_while_records_are_there(
    kafka_topics: Create,
) -> None:
    topics = kafka_topics()
    source = KafkaSource(topics.settings())
    source.subscribe(Indifferent())
    topics.write(many(8))
    assert len(source.batch(8, FAR_OFF_SECONDS, FAR_OFF_SECONDS)) == 8
    topics.write(many(3))
    read = 0
    while read < 3:
        found = source.batch(100, 0.1, FAR_OFF_SECONDS)
        assert found
        read += len(found)
    topics.write(many(3))
    while read < 6:
        found = source.batch(100, 0.0, FAR_OFF_SECONDS)
        assert found
        read += len(found)
    assert source.close(PATIENCE_SECONDS)


def test_enough_records_wait_for_no_more(kafka_topics: Create) -> None:
    topics = kafka_topics()
    source = KafkaSource(topics.settings())
    source.subscribe(Indifferent())
    topics.write(many(2 * ENOUGH))
    assert len(source.batch(100 * ENOUGH, FAR_OFF_SECONDS, FAR_OFF_SECONDS)) >= ENOUGH
    assert source.close(PATIENCE_SECONDS)


def test_what_is_read_ahead_is_shown_handed_over_next_and_read_anew_where_it_is_rewound(kafka_topics: Create) -> None:
    topics = kafka_topics()
    source = KafkaSource(topics.settings())
    source.subscribe(Indifferent())
    topics.write(many(40))

    def shown(size: int) -> Sequence[Record]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := source.upcoming(size)):
            source.stay(40)
            assert time.monotonic() < deadline
        return found

    first, second = shown(10), shown(10)
    assert source.batch(5, 0.0, 0.0) is first, "what is shown is a batch, whatever the next might hold at most"
    number = first[0].partition
    of_the_rewound = [record for record in (*first, *second) if record.partition == number]
    others = [record for record in second if record.partition != number]
    source.rewind({Partition(topics.input, number): of_the_rewound[0].offset})
    again: list[Record] = []
    while len(again) < 40 - len([record for record in first if record.partition != number]):
        again += source.batch(100, 0.0, PATIENCE_SECONDS)
    assert [record for record in again if record.partition == number][: len(of_the_rewound)] == of_the_rewound
    assert [record for record in again if record.partition != number][: len(others)] == others
    assert source.close(PATIENCE_SECONDS)


def test_closing_twice_is_no_fault_and_reading_after_it_is_one(kafka_topics: Create) -> None:
    topics = kafka_topics()
    source, sink = KafkaSource(topics.settings()), KafkaSink(topics.settings())
    for _ in range(2):
        sink.close(PATIENCE_SECONDS)
        assert source.close(PATIENCE_SECONDS)
    with pytest.raises(RuntimeError):
        source.batch(1, 0.0, 0.1)


def test_a_write_out_of_sequence_ends_the_worker_and_the_next_one_labels_what_it_could_not() -> None:
    with MockBroker() as broker:
        topics = Topics.create(broker.bootstrap, real=False)
        topics.write(many(40))
        broker.fail_next(PRODUCE, KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER)
        worker = RunningWorker(topics.settings())
        worker.wait()
        assert isinstance(worker.error, FatalKafkaError), worker.error
        assert sum(topics.committed()) < 40
        with running_worker(topics.settings()):
            topics.wait_until_committed(40)
        labelled = topics.read(topics.output, 40)  # and what the first had written of other partitions
    assert_each_once(first_appearances(labelled), 40)


def test_java_and_the_worker_put_a_key_into_the_same_partition(kafka_topics: Create) -> None:
    topics = kafka_topics()
    java = f"{topics.input}.java"
    create_topic(topics.bootstrap, java, PARTITIONS)
    keys = [f"键{number}" * (number % 5 + 1) for number in range(200)]
    kafka_tool(
        CONSOLE_PRODUCER,
        *("--bootstrap-server", topics.bootstrap, "--topic", java),
        *("--reader-property", "parse.key=true", "--reader-property", "key.separator=|"),
        standard_input="".join(f"{key}|\n" for key in keys),
    )
    topics.write([record(i % PARTITIONS, news("n", "标题"), key.encode()) for i, key in enumerate(keys)])
    with running_worker(topics.settings(partitioning=Partitioning.KEY)):
        of_the_worker = {message.key(): message.partition() for message in topics.read(topics.output, len(keys))}
    of_java = {message.key(): message.partition() for message in topics.read(java, len(keys))}
    assert of_the_worker == of_java
    assert set(of_java) == {key.encode() for key in keys}
    assert set(of_java.values()) == set(range(PARTITIONS))
