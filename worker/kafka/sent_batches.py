"""Batches that the client takes in one call, and what is reported of them. Within the last station."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from confluent_kafka import KafkaError, Producer

from kuaixun.worker.kafka.plugin import batch_producer
from kuaixun.worker.messages import OutgoingColumns
from kuaixun.worker.streams import Receipts

if TYPE_CHECKING:
    from kuaixun.worker.kafka import _batches


@dataclass(slots=True)
class _Sent:
    receipts: Receipts
    first: int  # the place in the receipts of its first message
    topics: list[str]
    unreported: int


class SentBatches:
    """Those of one producer, made with plugin.with_plugin's property.

    The client's own `produce` and its callback take as long for each message as all the rest of the worker's loop.
    """

    def __init__(self, batches: _batches.BatchProducer) -> None:
        self._batches = batches
        self._sent: dict[int, _Sent] = {}

    @classmethod
    def of(cls, producer: Producer) -> Self | None:
        """None where the producer does not let itself be used so: each message is a call of its own then."""
        batches = batch_producer(producer)
        return cls(batches) if batches is not None else None

    def send(self, messages: OutgoingColumns, receipts: Receipts) -> None:
        """See streams.Sink.send_all."""
        number, taken = self._batches.produce(
            messages.topics,
            messages.partitions,
            messages.keys,
            messages.values,
            messages.headers,
            messages.timestamps_ms,
        )
        if taken:
            self._sent[number] = _Sent(receipts, receipts.queued, messages.topics, taken)
            receipts.queued += taken

    def report(self, failure: Callable[[KafkaError, str], Exception]) -> bool:
        """Tell the receipts what has become of messages since the last time; whether any is confirmed.

        `failure` is what an error on the way to a topic amounts to.
        """
        confirmed = 0
        for number, count, refused in self._batches.reports():
            sent = self._sent[number]
            confirmed += count
            sent.receipts.awaited -= count
            for row, code, said in refused:
                error = KafkaError(code, said or None)
                sent.receipts.report(sent.first + row, failure(error, sent.topics[row]))
            sent.unreported -= count + len(refused)
            if not sent.unreported:
                del self._sent[number]
        return bool(confirmed)
