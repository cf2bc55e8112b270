"""Kafka as the tests see it from outside: they write headlines, read what comes of them, and look at the offsets."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from kuaixun.worker.settings import WorkerSettings
from kuaixun.worker.streams import Record
from tests.kafka_broker import create_topic

PARTITIONS = 4
PATIENCE_SECONDS = 60
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

    @classmethod
    def create(cls, bootstrap: str, *, real: bool, **output_config: str) -> Topics:
        name = f"t{os.getpid()}-{next(_NUMBERS)}"
        # The mock broker does not see that a member leaves, so whoever comes next waits for the session to time out,
        # and makes the first one wait 3 s for others, which a session must outlast;
        # 6 s is the least that a real broker allows.
        session_ms = 6000 if real else 3500
        topics = cls(bootstrap, f"{name}.raw", f"{name}.labelled", f"{name}.dead", name, session_ms)
        if real:
            create_topic(bootstrap, topics.input, PARTITIONS)
            create_topic(bootstrap, topics.output, PARTITIONS, **output_config)
            create_topic(bootstrap, topics.dead_letter, PARTITIONS)
        else:
            # The mock broker makes a topic, of four partitions, for whoever asks after it.
            admin = AdminClient({"bootstrap.servers": bootstrap})
            for topic in (topics.input, topics.output, topics.dead_letter):
                admin.list_topics(topic, timeout=10)
        return topics

    def settings(self, **changes: Any) -> WorkerSettings:
        values: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap,
            "input_topic": self.input,
            "output_topic": self.output,
            "dead_letter_topic": self.dead_letter,
            "group_id": self.group,
            "max_delay_ms": 5,
            "commit_interval_seconds": 0.1,
            "kafka": {"log_level": "2"},
            "consumer": self.session(),
            **changes,
        }
        return WorkerSettings(**{"_env_file": None, **values})

    def session(self) -> dict[str, str]:
        return {"session.timeout.ms": str(self.session_ms), "heartbeat.interval.ms": "300"}

    def flags(self) -> list[str]:
        return [
            *("--bootstrap-servers", self.bootstrap, "--input-topic", self.input, "--output-topic", self.output),
            *("--dead-letter-topic", self.dead_letter, "--group-id", self.group),
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
        consumer = self._reader()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (held := self._held(consumer, topic)) < at_least and time.monotonic() < deadline:
            time.sleep(0.05)
        consumer.close()
        assert held >= at_least, f"{topic} holds {held} records after {PATIENCE_SECONDS} s, not {at_least}"
        return held

    def read(self, topic: str, at_least: int = 0) -> list[Message]:
        """All records that a topic holds by now, once there are as many as asked for."""
        held = self.wait_for(topic, at_least)
        consumer = self._reader()
        partitions = [TopicPartition(topic, number, 0) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        messages: list[Message] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(messages) < held and time.monotonic() < deadline:
            for message in consumer.consume(1000, 0.05):
                assert message.error() is None, message.error()
                messages.append(message)
        consumer.close()
        assert len(messages) >= held
        return messages

    def committed(self) -> list[int]:
        """The group's next offset in each input partition, 0 where there is none."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": self.group})
        found = consumer.committed([TopicPartition(self.input, number) for number in range(PARTITIONS)], timeout=10)
        consumer.close()
        return [max(0, position.offset) for position in found]

    def _reader(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "reader",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 50,
            }
        )

    def _held(self, consumer: Consumer, topic: str) -> int:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        while True:
            try:
                return sum(consumer.get_watermark_offsets(partition, timeout=10)[1] for partition in partitions)
            except KafkaException as error:  # a new topic may have no leader yet
                if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION:
                    raise
