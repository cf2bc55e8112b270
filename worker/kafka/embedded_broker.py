"""A broker for a journey that leaves no trace: the demo's, and the tests'."""

from __future__ import annotations

from typing import Self

from confluent_kafka import Producer

from kuaixun.worker.kafka.client_log import CLIENT_LOG

EMBEDDED_START_SECONDS = 10.0


class EmbeddedBroker:
    """librdkafka's own broker inside this process, for the demo and the tests; entering it starts it.

    It speaks Kafka's protocol on a port of loopback, makes a topic of four partitions for whoever asks after one, and
    keeps some 5 MB of each partition. A first member of a group waits 3 s for others; one that leaves is only missed
    when its session times out.
    """

    def __enter__(self) -> Self:
        self._host = Producer({"test.mock.num.brokers": 1}, logger=CLIENT_LOG)
        (broker,) = self._host.list_topics(timeout=EMBEDDED_START_SECONDS).brokers.values()
        self.bootstrap = f"{broker.host}:{broker.port}"
        return self

    def __exit__(self, *_: object) -> None:
        # The broker goes when the client that hosts it does.
        del self._host
