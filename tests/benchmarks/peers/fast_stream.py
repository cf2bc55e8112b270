"""FastStream: a subscriber's function and a publisher.

One at a time: https://faststream.ag2.ai/latest/kafka/ (`@broker.subscriber`, `publisher.publish`). In batches:
https://faststream.ag2.ai/latest/kafka/Subscriber/batch_subscriber/ (`batch=True`, `max_records`) and
https://faststream.ag2.ai/latest/kafka/Publisher/batch_publisher/ (`publish_batch`, which keeps each key and puts a
whole batch into one partition).

On aiokafka, for FastStream on confluent-kafka was slower, one at a time and in batches. Nothing waits for a
confirmation (`no_confirm`), for it would stand still until each request is answered; offsets are committed every five
seconds whatever became of the headlines, which is FastStream's own default. Fetches of 8 MB; requests of up to 2 MB,
compressed by lz4, no more than 20 ms late; uvloop, and orjson, which it takes where it is installed; no log line for
each headline.
"""

from __future__ import annotations

import logging
from typing import Any

import uvloop
from faststream import FastStream
from faststream.kafka import KafkaBroker, KafkaMessage, KafkaPublishMessage

from tests.benchmarks.peers.collector import collect_seldom
from tests.benchmarks.peers.options import Options, read_options
from tests.benchmarks.peers.settings import FAST_STREAM_BATCHES, FAST_STREAM_BROKER, FAST_STREAM_SUBSCRIPTION
from tests.benchmarks.peers.student import labelled, now, open_student


def app_of(options: Options) -> FastStream:
    """The application."""
    student = open_student(options.bundle, options.engine)
    broker = KafkaBroker(options.bootstrap, **FAST_STREAM_BROKER, logger=None)
    subscription: dict[str, Any] = {"group_id": options.group, **FAST_STREAM_SUBSCRIPTION}
    publisher = broker.publisher(options.output)

    async def one_by_one(news: dict[str, Any], message: KafkaMessage) -> None:
        received_at, record = now(), message.raw_message
        (verdict,) = student.verdicts([news["title"]])
        origin = (record.topic, record.partition, record.offset)
        event = labelled(news, verdict, student.model_id, origin, (received_at, now()))
        await publisher.publish(event, key=record.key, no_confirm=True)

    async def in_batches(batch: list[dict[str, Any]], message: KafkaMessage) -> None:
        received_at = now()
        verdicts = student.verdicts([news["title"] for news in batch])
        times = received_at, now()
        events = []
        for news, verdict, record in zip(batch, verdicts, message.raw_message, strict=True):
            origin = (record.topic, record.partition, record.offset)
            event = labelled(news, verdict, student.model_id, origin, times)
            events.append(KafkaPublishMessage(event, key=record.key))
        await broker.publish_batch(*events, topic=options.output, no_confirm=True)

    if options.engine == "traced":
        broker.subscriber(options.input, **subscription)(one_by_one)
    else:
        broker.subscriber(options.input, batch=True, **FAST_STREAM_BATCHES, **subscription)(in_batches)
    return FastStream(broker, logger=None)


if __name__ == "__main__":
    app = app_of(read_options())
    collect_seldom()
    uvloop.run(app.run(logging.WARNING))
