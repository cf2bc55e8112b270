"""Kafka as the tests see it from outside: they write headlines, read what comes of them, and look at the offsets."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from kuaixun.worker.delivery.promise import Guarantee
from kuaixun.worker.kafka.client_errors import COORDINATOR_ON_ITS_WAY
from kuaixun.worker.records import Record
from kuaixun.worker.settings import WorkerSettings
from tests.kafka_broker import create_topic

PARTITIONS = 4
PATIENCE_SECONDS = 120  # a busy machine may take a minute over what takes a second
_NUMBERS = itertools.count()


@dataclass(frozen=True, slots=True)
class Topics:
    """Three topics and a group of one test's own."""

    bootstrap: str
    input: str
    output: str
    dead_letter: str
    group: str
    session_ms: int
    delivery: Guarantee = Guarantee.AT_LEAST_ONCE

    @classmethod
    def create(
        cls,
        bootstrap: str,
        *,
        real: bool,
        delivery: Guarantee = Guarantee.AT_LEAST_ONCE,
        **output_config: str,
    ) -> Topics:
        name = f"t{os.getpid()}-{next(_NUMBERS)}"
        # The mock broker does not see that a member leaves, so whoever comes next waits for the session to time out.
        # 6 s is the least that a real broker allows.
        session_ms = 6000 if real else 3500
        topics = cls(bootstrap, f"{name}.raw", f"{name}.labelled", f"{name}.dead", name, session_ms, delivery)
        if real:
            create_topic(bootstrap, topics.input, PARTITIONS)
            create_topic(bootstrap, topics.output, PARTITIONS, **output_config)
            create_topic(bootstrap, topics.dead_letter, PARTITIONS)
        else:
            # The mock broker makes a topic, of four partitions, for whoever asks after it.
            admin = AdminClient({"bootstrap.servers": bootstrap})
            for topic in (topics.input, topics.output, topics.dead_letter):
                admin.list_topics(topic, timeout=PATIENCE_SECONDS)
        return topics

    def settings(self, **changes: Any) -> WorkerSettings:
        values: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap,
            "input_topic": self.input,
            "output_topic": self.output,
            "dead_letter_topic": self.dead_letter,
            "group_id": self.group,
            "delivery": self.delivery,
            "max_delay_ms": 5,
            "commit_interval_seconds": 0.1,
            "kafka": {"log_level": "2"},
            "consumer": {} if changes.get("group_protocol") == "consumer" else self.session(),
            **changes,
        }
        return WorkerSettings(**{"_env_file": None, **values})

    def session(self) -> dict[str, str]:
        return {"session.timeout.ms": str(self.session_ms), "heartbeat.interval.ms": "300"}

    def flags(self) -> list[str]:
        return [
            *("--bootstrap-servers", self.bootstrap, "--input-topic", self.input, "--output-topic", self.output),
            *("--dead-letter-topic", self.dead_letter, "--group-id", self.group),
            *("--delivery", self.delivery),
            *(flag for name, value in self.session().items() for flag in ("--consumer", f"{name}={value}")),
        ]

    def write(self, records: Sequence[Record]) -> None:
        """Write records to their partitions; their topics, offsets and missing timestamps are the broker's to give."""
        producer = Producer({"bootstrap.servers": self.bootstrap, "message.max.bytes": "2000000"})
        for record in records:
            producer.produce(
                self.input,
                value=record.value,
                key=record.key,
                partition=record.partition,
                headers=list(record.headers),
                timestamp=record.timestamp_ms or 0,
            )
        assert producer.flush(PATIENCE_SECONDS) == 0

    def wait_for(self, topic: str, at_least: int) -> int:
        """Wait until a topic holds as many records; how many it holds."""
        return len(self.read(topic, at_least))

    def read(self, topic: str, at_least: int = 0, isolation: str = "read_committed") -> list[Message]:
        """All records that a topic holds by now, once there are as many as asked for."""
        consumer = self._reader(isolation)
        consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
        messages: list[Message] = []
        at_end: set[int | None] = set()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (len(messages) < at_least or len(at_end) < PARTITIONS) and time.monotonic() < deadline:
            for message in consumer.consume(1000, 0.05):
                error = message.error()
                if error is None:
                    messages.append(message)
                    at_end.discard(message.partition())
                elif error.code() == KafkaError._PARTITION_EOF:
                    at_end.add(message.partition())
                else:  # a new topic may have no leader yet
                    assert error.retriable() or error.code() == KafkaError.NOT_LEADER_FOR_PARTITION, error
        consumer.close()
        assert len(messages) >= at_least, f"{topic} holds {len(messages)} records, not {at_least}"
        assert len(at_end) == PARTITIONS
        return messages

    def committed(self) -> list[int]:
        """The group's next offset in each input partition, 0 where there is none."""
        return self._wait_for_committed(lambda _: True)

    def wait_until_committed(self, count: int, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until the group has committed so many of the input's records, and no more."""
        offsets = self._wait_for_committed(lambda offsets: sum(offsets) == count, patience_seconds)
        assert sum(offsets) == count, offsets

    def wait_for_offsets(self, offsets: list[int]) -> None:
        """Wait until the group has committed these."""
        assert self._wait_for_committed(lambda found: found == offsets) == offsets

    def _wait_for_committed(
        self, enough: Callable[[list[int]], bool], patience_seconds: float = PATIENCE_SECONDS
    ) -> list[int]:
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": self.group})
        positions = [TopicPartition(self.input, number) for number in range(PARTITIONS)]
        deadline = time.monotonic() + patience_seconds
        offsets: list[int] | None = None
        while offsets is None or (not enough(offsets) and time.monotonic() < deadline):
            try:
                offsets = [
                    max(0, position.offset) for position in consumer.committed(positions, timeout=PATIENCE_SECONDS)
                ]
            except KafkaException as exception:  # the coordinator of a broker just started is still reading its log
                if exception.args[0].code() not in COORDINATOR_ON_ITS_WAY or time.monotonic() >= deadline:
                    raise
            if offsets is None or not enough(offsets):
                time.sleep(0.05)
        consumer.close()
        return offsets

    def _reader(self, isolation: str) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "reader",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": isolation,
                "fetch.wait.max.ms": 50,
            }
        )
