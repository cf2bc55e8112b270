"""Writing outcomes, and what becomes of each. The last station of a headline's journey."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from itertools import repeat
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from kuaixun.worker.kafka.client_defaults import PRODUCER_DEFAULTS, with_defaults
from kuaixun.worker.kafka.client_errors import refusal, undelivered
from kuaixun.worker.kafka.client_log import CLIENT_LOG
from kuaixun.worker.kafka.connection import Connection, error_of, seen
from kuaixun.worker.kafka.sent_batch import SentBatch
from kuaixun.worker.messages import Outgoing, OutgoingColumns
from kuaixun.worker.settings import WorkerSettings
from kuaixun.worker.streams import QueueFullError, Receipts, Report, TooLargeError

LOG = logging.getLogger(__name__)

_BY_KEY = -1  # no partition: the partitioner's choice
_NOW = 0  # no timestamp, to librdkafka, so the nearest other stands for one of 0
_LEAST_TIMESTAMP_MS = 1


class KafkaSink:
    """The producer. See streams.Sink; for `look` see Connection."""

    def __init__(self, settings: WorkerSettings, look: Callable[[], None] = lambda: None) -> None:
        properties = settings.producer_properties()
        self._connection = Connection(settings, properties, look=look)
        self._topic = settings.output_topic
        self._delivered = False  # since the last call of `poll`
        self._config: dict[str, Any] = {
            **with_defaults(PRODUCER_DEFAULTS, properties),
            "bootstrap.servers": settings.bootstrap_servers,
            "enable.idempotence": True,
            "message.timeout.ms": round(settings.outage_seconds * 1000),
            "partitioner": "murmur2_random",
            **self._connection.callbacks(),
            **self._of_the_guarantee(settings),
        }
        self._producer = self._new_producer()
        self._limit_bytes = int(self._config["message.max.bytes"])

    def _of_the_guarantee(self, settings: WorkerSettings) -> dict[str, Any]:
        """What a guarantee adds to the producer's properties."""
        return {}

    def _new_producer(self) -> Producer:
        try:
            return Producer(self._config, logger=CLIENT_LOG)
        except KafkaException as exception:
            raise self._connection.error(exception.args[0], "configuring the producer") from None

    def partition_count(self, topic: str) -> int:
        """How many partitions a topic has. Ask the source first, for this may create a topic that is missing."""
        return self._connection.partition_count(self._producer, topic)

    @property
    def outage_seconds(self) -> float:
        """How long the brokers have not answered the producer by now, 0 while they do. For any thread."""
        return self._connection.outage.seconds

    def send(self, message: Outgoing, report: Report) -> None:
        """See streams.Sink."""
        try:
            self._producer.produce(
                message.topic,
                message.value,
                message.key,
                _BY_KEY if message.partition is None else message.partition,
                partial(self._on_delivery, message.topic, report),
                None,
                _NOW if message.timestamp_ms is None else message.timestamp_ms or _LEAST_TIMESTAMP_MS,
                [*message.headers],
            )
        except BufferError:
            raise QueueFullError from None
        except KafkaException as exception:
            failure = self._failure(exception.args[0], message.topic)
            if isinstance(failure, TooLargeError):
                failure.limit_bytes = self._limit_bytes
            raise failure from None

    def send_all(self, messages: OutgoingColumns, receipts: Receipts) -> None:
        """See streams.Sink."""
        partitions, timestamps_ms = messages.partitions, messages.timestamps_ms
        taken = map(
            self._producer.produce,
            messages.topics,
            messages.values,
            messages.keys,
            [_BY_KEY if partition is None else partition for partition in partitions],
            repeat(self._receiver(SentBatch(messages, receipts))),
            repeat(None),  # the same under its other name
            [_NOW if time is None else time or _LEAST_TIMESTAMP_MS for time in timestamps_ms],
            [[*headers] if headers else None for headers in messages.headers],
        )
        index = receipts.queued
        try:
            for _ in taken:
                index += 1
        except (BufferError, KafkaException):
            pass  # `send` says what it is
        finally:
            receipts.queued = index

    def poll(self, timeout_seconds: float) -> None:
        """See streams.Sink."""
        # What is confirmed ends an outage, noted once for many; not one that began in the same call.
        was_away, self._delivered = self._connection.outage.lasting, False
        self._connection.serve_reports(self._producer, timeout_seconds)
        if was_away and self._delivered:
            self._connection.outage.over()
        self._connection.probe(self._producer, self._topic)
        self._connection.raise_noted()

    def close(self, timeout_seconds: float) -> None:
        """See streams.Sink."""
        self._producer.purge()
        try:
            self._producer.flush(timeout_seconds)
        except (KafkaException, SystemError) as exception:  # a producer that has met a fatal error flushes nothing
            LOG.debug("closing the producer: %s", self._connection.hide(error_of(exception).str()))

    def _on_delivery(self, topic: str, report: Report, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self._delivered = True
            report(None)
        else:
            seen(error)
            report(self._failure(error, topic))

    def _receiver(self, batch: SentBatch) -> Callable[[KafkaError | None, Message], None]:
        """Of a batch's reports. A function of its own takes half as long to call as a method with an argument given."""
        receipts = batch.receipts

        def on_delivery(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self._delivered = True
                receipts.awaited -= 1
            else:
                seen(error)
                receipts.report_one_of(batch.places_of(message), self._failure(error, str(message.topic())))

        return on_delivery

    def _failure(self, error: KafkaError, topic: str) -> Exception:
        """A message's own fault, or the WorkerError that its loss amounts to."""
        hide = self._connection.hide
        return refusal(error, hide) or undelivered(error, topic, self._connection.settings.bootstrap_servers, hide)
