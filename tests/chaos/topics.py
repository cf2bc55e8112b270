"""Both ends of the worker's topics: what is sent, and what any consumer would read."""

from __future__ import annotations

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, Producer, TopicPartition

from tests.chaos.account import Account, Outcome

RAW, LABELLED, DEAD_LETTERS = "news.raw", "news.labelled", "news.dead_letter"
# Outages are the subject: librdkafka need not print each refused connection.
_SILENT = {"log_level": 0}


class InputRefusedError(Exception):
    """The broker did not take an input, so that no account can be given of it."""


class Inlet:
    """Sends inputs, each confirmed exactly once whatever happens to the broker."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, **_SILENT},
        )
        self._refused: list[str] = []

    def send(self, key: str, value: bytes | None, partition: int) -> None:
        """Queue one input; the queue takes far more than a run has."""
        self._producer.produce(RAW, value, key, partition, on_delivery=self._delivered)
        self._producer.poll(0)

    def finish(self) -> None:
        """Block until all are confirmed. Raises InputRefusedError."""
        if self._producer.flush(60) or self._refused:
            raise InputRefusedError(f"inputs without confirmation: {self._refused[:3]}, {len(self._producer)} in queue")

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._refused.append(f"{message.key()!r}: {error}")


class Outlet:
    """Reads the labelled events and the dead letters into the account."""

    def __init__(self, bootstrap: str, account: Account) -> None:
        self._account = account
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": "account", "enable.auto.commit": False, **_SILENT}
        )
        known = self._consumer.list_topics(timeout=10).topics
        self._consumer.assign(
            [
                TopicPartition(topic, partition, OFFSET_BEGINNING)
                for topic in (LABELLED, DEAD_LETTERS)
                for partition in known[topic].partitions
            ]
        )

    def read(self, timeout_seconds: float = 0.0) -> int:
        """Read what there is, waiting so long for the first; the number of outputs read."""
        count = 0
        while (message := self._consumer.poll(timeout_seconds)) is not None:
            if message.error() is None:
                self._enter(message)
                count += 1
            timeout_seconds = 0.0
        return count

    def read_to_the_end(self) -> None:
        """Read up to where the partitions end now."""
        for place in self._consumer.assignment():
            _, end = self._consumer.get_watermark_offsets(place, timeout=10)
            while self._consumer.position([place])[0].offset < end:
                self.read(1.0)

    def close(self) -> None:
        """Leave."""
        self._consumer.close()

    def _enter(self, message: Message) -> None:
        topic, partition, key = message.topic(), message.partition(), message.key() or b""
        assert topic is not None
        assert partition is not None
        if topic == DEAD_LETTERS:
            outcome = Outcome.DEAD_LETTERED
        else:
            outcome = Outcome.TOMBSTONE if message.value() is None else Outcome.LABELLED
        self._account.receive(bytes(key).decode("utf-8", "replace"), outcome, topic, partition)
