"""A loop over confluent-kafka as its documentation shows one: poll one, produce one.

https://docs.confluent.io/kafka-clients/python/current/overview.html: the consumer's basic poll loop, and the
producer's asynchronous writes with a delivery callback. What is kept beyond that page's first example: an offset is
stored when its headline was handed to the producer, and committed by the client every five seconds. The batched loop
takes what `consume` gives, up to 5,000: more was no faster. JSON is by orjson, the fastest that is widely used.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from types import FrameType

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer

from tests.benchmarks.peers.librdkafka import CONSUMER, PRODUCER
from tests.benchmarks.peers.options import Options, read_options
from tests.benchmarks.peers.student import labelled, now, open_student

BATCH = 5000
BATCH_SECONDS = 0.05


def main(options: Options) -> None:
    """Label until SIGTERM."""
    student = open_student(options.bundle, options.engine)
    consumer = Consumer(
        {
            **CONSUMER,
            "bootstrap.servers": options.bootstrap,
            "group.id": options.group,
            "enable.auto.offset.store": False,
        }
    )
    producer = Producer({**PRODUCER, "bootstrap.servers": options.bootstrap})
    stopped: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stopped.append(number)

    def acked(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            raise KafkaException(error)

    def label(messages: Sequence[Message]) -> None:
        received_at = now()
        news = [orjson.loads(message.value() or b"") for message in messages]
        for message, one, verdict in zip(messages, news, student.verdicts([one["title"] for one in news]), strict=True):
            origin = (message.topic() or "", message.partition() or 0, message.offset() or 0)
            value = orjson.dumps(labelled(one, verdict, student.model_id, origin, received_at))
            producer.produce(options.output, value, message.key(), on_delivery=acked)
            consumer.store_offsets(message)

    signal.signal(signal.SIGTERM, stop)
    consumer.subscribe([options.input])
    while not stopped:
        if options.engine == "traced":
            message = consumer.poll(BATCH_SECONDS)
            messages = [] if message is None else [message]
        else:
            messages = consumer.consume(BATCH, BATCH_SECONDS)
        for message in messages:
            if (error := message.error()) is not None:
                raise KafkaException(error)
        if messages:
            label(messages)
        producer.poll(0)
    producer.flush()
    consumer.close()


if __name__ == "__main__":
    main(read_options())
