"""A loop over confluent-kafka as its documentation shows one: poll one, produce one.

https://docs.confluent.io/kafka-clients/python/current/overview.html: the consumer's basic poll loop with asynchronous
commits, after every thousand headlines, and the producer's asynchronous writes with a delivery callback. (It does not
wait for the callbacks: what it commits may yet fail.) The batched loop takes what `consume` gives, up to 20,000: more
than with 1,000 or 5,000. JSON is by orjson, the fastest that is widely used.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from types import FrameType

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer

from tests.benchmarks.peers.collector import collect_seldom
from tests.benchmarks.peers.options import Options, read_options
from tests.benchmarks.peers.settings import CONSUMER, PLAIN_BATCH, PLAIN_COMMIT_EVERY, PRODUCER
from tests.benchmarks.peers.student import labelled, now, open_student

BATCH_SECONDS = 0.05


def main(options: Options) -> None:
    """Label until SIGTERM."""
    student = open_student(options.bundle, options.engine)
    consumer = Consumer(
        {
            **CONSUMER,
            "bootstrap.servers": options.bootstrap,
            "group.id": options.group,
            "enable.auto.commit": False,
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
        verdicts = student.verdicts([one["title"] for one in news])
        times = received_at, now()
        for message, one, verdict in zip(messages, news, verdicts, strict=True):
            origin = (message.topic() or "", message.partition() or 0, message.offset() or 0)
            value = orjson.dumps(labelled(one, verdict, student.model_id, origin, times))
            producer.produce(options.output, value, message.key(), on_delivery=acked)

    signal.signal(signal.SIGTERM, stop)
    collect_seldom()
    consumer.subscribe([options.input])
    uncommitted = 0
    while not stopped:
        if options.engine == "traced":
            message = consumer.poll(BATCH_SECONDS)
            messages = [] if message is None else [message]
        else:
            messages = consumer.consume(PLAIN_BATCH, BATCH_SECONDS)
        for message in messages:
            if (error := message.error()) is not None:
                raise KafkaException(error)
        if messages:
            label(messages)
            uncommitted += len(messages)
        producer.poll(0)
        if uncommitted >= PLAIN_COMMIT_EVERY:
            consumer.commit(asynchronous=True)
            uncommitted = 0
    producer.flush()
    if uncommitted:
        consumer.commit(asynchronous=False)
    consumer.close()


if __name__ == "__main__":
    main(read_options())
