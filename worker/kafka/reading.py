"""What a consumer has to hand over, a batch in one call where it lets itself be read so. Within the first station."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from confluent_kafka import Consumer, KafkaError, Message

from kuaixun.worker.kafka.plugin import batch_consumer
from kuaixun.worker.kafka.records import records_of
from kuaixun.worker.records import Partition, Records

if TYPE_CHECKING:
    from kuaixun.worker.kafka import _batches


class Event(NamedTuple):
    """An error that comes in place of a record, and where it stands."""

    partition: Partition
    offset: int
    error: KafkaError


class Reading:
    """Reads with a consumer; with plugin.with_plugin's property, by batches.

    The client makes an object of each message, and of each answer that these are asked for, which takes as long as half
    of the worker's loop. `topic` is that of all records where there is only one, `on_error` the consumer's `error_cb`.
    For one thread at a time.
    """

    def __init__(self, consumer: Consumer, topic: str | None, on_error: Callable[[KafkaError], None]) -> None:
        self._consumer, self._topic, self._on_error = consumer, topic, on_error
        self._batches = batch_consumer(consumer)

    @property
    def by_batch(self) -> bool:
        """Whether a batch is read in one call."""
        return self._batches is not None

    def begin(self, partitions: Iterable[Partition]) -> None:
        """These are about to be read, from wherever the client is told to: assigned, or gone back in."""
        if self._batches is not None:
            for partition in partitions:
                self._batches.divert(*partition)

    def end(self, partitions: Iterable[Partition]) -> None:
        """These leave."""
        if self._batches is not None:
            for partition in partitions:
                self._batches.let_go(*partition)

    def consume(self, limit: int, timeout_seconds: float) -> tuple[Records, list[Event]]:
        """Serve the client's callbacks, and read so many records, or what is there once a first one is.

        Message by message all of them are waited for, as the client's `consume` does. Raises KafkaException and
        SystemError.
        """
        if self._batches is None:
            return self._by_message(limit, timeout_seconds)
        deadline = time.monotonic() + timeout_seconds
        while True:
            # A partition that the client knows anew, as its topic was made anew, is not diverted, and comes here.
            records, events = self._by_message(limit, 0.0)
            if len(records) < limit:
                left_seconds = 0.0 if records or events else max(0.0, deadline - time.monotonic())
                more, errors = self._by_batch(self._batches, limit - len(records), left_seconds)
                events += errors
                if records:
                    records.extend(more)
                else:
                    records = more
            # Where there is nothing, and time, a callback waits to be served.
            if records or events or time.monotonic() >= deadline:
                return records, events

    def _by_message(self, limit: int, timeout_seconds: float) -> tuple[Records, list[Event]]:
        messages = self._consumer.consume(limit, timeout_seconds)
        events: list[Event] = []
        # Not by comparing: the client's error leaves an exception set where it is compared with None.
        if any(map(Message.error, messages)):
            events = [_event_of(message, error) for message in messages if (error := message.error()) is not None]
            messages = [message for message in messages if message.error() is None]
        return records_of(messages, self._topic) if messages else Records(), events

    def _by_batch(
        self, batches: _batches.BatchConsumer, limit: int, timeout_seconds: float
    ) -> tuple[Records, list[Event]]:
        *columns, errors = batches.consume(limit, timeout_seconds)
        events: list[Event] = []
        for topic, partition, offset, code, said in errors:
            where, error = Partition(topic or "", partition), KafkaError(code, said)
            # What the client tells of a partition, and not in place of a record, is in its queue too, and begins so.
            if said.startswith(f"{where.topic} [{where.number}]: "):
                self._on_error(error)
            else:
                events.append(Event(where, offset, error))
        return Records(*columns), events

    def close(self) -> None:
        """Read nothing from here on. Before the consumer's own `close`."""
        if self._batches is not None:
            self._batches.close()


def _event_of(message: Message, error: KafkaError) -> Event:
    where = Partition(str(message.topic() or ""), message.partition() or 0)
    return Event(where, message.offset() or 0, error)
