"""Quix Streams: a StreamingDataFrame from topic to topic, or a sink that labels in batches.

One at a time: https://quix.io/docs/quix-streams/quickstart.html (`app.dataframe`, `sdf.apply`, `sdf.to_topic`). In
batches: https://quix.io/docs/quix-streams/connectors/sinks/custom-sinks.html, a `BaseSink` that gathers some, sends
what comes of them right away, and has it confirmed when a checkpoint asks it to `flush`. A `BatchingSink`, which gets
nothing before the checkpoint and waits for the broker with all of it, was a tenth slower and more. (The other way to
batches are windows, each headline of which goes through a state store.)

Batches of 2,000: with 500 and with 8,000 it was no faster. A checkpoint after 50,000 headlines or a second, each of
which waits for the broker once: with 10,000 it was slower, and with 100,000 no faster. No changelog topics,
for there is no state. The rest are librdkafka's settings; idempotent producing is the library's own default.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from quixstreams import Application, message_context
from quixstreams.models import Topic
from quixstreams.sinks import BaseSink

from tests.benchmarks.peers.collector import collect_seldom
from tests.benchmarks.peers.options import Options, read_options
from tests.benchmarks.peers.settings import (
    CONSUMER,
    PRODUCER,
    QUIX_BATCH,
    QUIX_COMMIT_EVERY,
    QUIX_COMMIT_SECONDS,
)
from tests.benchmarks.peers.student import Student, labelled, now, open_student

Waiting: TypeAlias = tuple[dict[str, Any], bytes, tuple[str, int, int]]


class LabellingSink(BaseSink):  # type: ignore[misc]  # its types are in the peer's environment
    """Labels a batch as soon as there is one, and hands it to a producer."""

    def __init__(self, app: Application, output: Topic, student: Student) -> None:
        super().__init__()
        self._output, self._student, self._producer = output, student, app.get_producer()
        self._waiting: list[Waiting] = []

    def add(
        self,
        value: dict[str, Any],
        key: bytes,
        timestamp: int,
        headers: object,
        topic: str,
        partition: int,
        offset: int,
    ) -> None:
        """One headline."""
        self._waiting.append((value, key, (topic, partition, offset)))
        if len(self._waiting) == QUIX_BATCH:
            self._label()

    def flush(self) -> None:
        """Label what waits, and wait for the broker."""
        self._label()
        self._producer.flush()

    def on_paused(self) -> None:
        """The checkpoint is begun again."""
        self._waiting.clear()

    def _label(self) -> None:
        if not self._waiting:
            return
        received_at, batch = now(), self._waiting
        self._waiting = []
        verdicts = self._student.verdicts([news["title"] for news, _, _ in batch])
        times = received_at, now()
        for (news, key, origin), verdict in zip(batch, verdicts, strict=True):
            event = labelled(news, verdict, self._student.model_id, origin, times)
            message = self._output.serialize(key=key, value=event)
            self._producer.produce(topic=self._output.name, key=message.key, value=message.value)


def main(options: Options) -> None:
    """Label until SIGTERM."""
    student = open_student(options.bundle, options.engine)
    app = Application(
        broker_address=options.bootstrap,
        consumer_group=options.group,
        auto_offset_reset="earliest",
        commit_every=QUIX_COMMIT_EVERY,
        commit_interval=QUIX_COMMIT_SECONDS,
        consumer_extra_config=dict(CONSUMER),
        producer_extra_config=dict(PRODUCER),
        use_changelog_topics=False,
        loglevel="WARNING",
    )
    headlines = app.topic(options.input, key_deserializer="bytes", value_deserializer="json")
    output = app.topic(options.output, key_serializer="bytes", value_serializer="json")

    def label(news: dict[str, Any]) -> dict[str, Any]:
        received_at, context = now(), message_context()
        (verdict,) = student.verdicts([news["title"]])
        origin = (context.topic, context.partition, context.offset)
        return labelled(news, verdict, student.model_id, origin, (received_at, now()))

    sdf = app.dataframe(headlines)
    if options.engine == "traced":
        sdf.apply(label).to_topic(output)
    else:
        sdf.sink(LabellingSink(app, output, student))
    collect_seldom()
    app.run()


if __name__ == "__main__":
    main(read_options())
