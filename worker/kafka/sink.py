"""Writing outcomes, and what becomes of each. The last station of a headline's journey."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from kuaixun.worker.errors import WorkerError
from kuaixun.worker.kafka.client_defaults import PRODUCER_DEFAULTS, with_defaults
from kuaixun.worker.kafka.client_errors import refusal, undelivered
from kuaixun.worker.kafka.client_log import CLIENT_LOG
from kuaixun.worker.kafka.connection import Connection, error_of, seen
from kuaixun.worker.kafka.plugin import PLUGINS_PROPERTY, with_plugin
from kuaixun.worker.kafka.sent_batches import SentBatches
from kuaixun.worker.messages import Outgoing, OutgoingColumns
from kuaixun.worker.settings import WorkerSettings
from kuaixun.worker.streams import QueueFullError, Receipts, RefusedError, Report, TooLargeError

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
            **with_plugin(properties.get(PLUGINS_PROPERTY)),
            **self._of_the_guarantee(settings),
        }
        self._begin_anew()
        self._limit_bytes = int(self._config["message.max.bytes"])

    def _of_the_guarantee(self, settings: WorkerSettings) -> dict[str, Any]:
        """What a guarantee adds to the producer's properties."""
        return {}

    def _begin_anew(self) -> None:
        try:
            self._producer = Producer(self._config, logger=CLIENT_LOG)
        except KafkaException as exception:
            raise self._connection.error(exception.args[0], "configuring the producer") from None
        self._batches = SentBatches.of(self._producer)

    def partition_count(self, topic: str) -> int:
        """How many partitions a topic has. Ask the source first, for this may create a topic that is missing."""
        return self._connection.partition_count(self._producer, topic)

    @property
    def by_batch(self) -> bool:
        """Whether the client takes a batch in one call."""
        return self._batches is not None

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
        if self._batches is not None:
            self._batches.send(messages, receipts)
            return
        for index, message in enumerate(messages, receipts.queued):
            try:
                self.send(message, partial(receipts.report, index))
            except (QueueFullError, RefusedError, WorkerError):
                return
            receipts.queued += 1

    def poll(self, timeout_seconds: float) -> None:
        """See streams.Sink."""
        # What is confirmed ends an outage, noted once for many; not one that began in the same call.
        was_away, self._delivered = self._connection.outage.lasting, False
        try:
            self._connection.serve_reports(self._producer, timeout_seconds)
        finally:
            self._report()
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
        self._report()

    def _on_delivery(self, topic: str, report: Report, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self._delivered = True
            report(None)
        else:
            seen(error)
            report(self._failure(error, topic))

    def _report(self) -> None:
        """Pass on what is reported of batches."""
        if self._batches is not None and self._batches.report(self._failure):
            self._delivered = True

    def _failure(self, error: KafkaError, topic: str) -> Exception:
        """A message's own fault, or the WorkerError that its loss amounts to."""
        hide = self._connection.hide
        return refusal(error, hide) or undelivered(error, topic, self._connection.settings.bootstrap_servers, hide)
