"""Quix Streams: a StreamingDataFrame from topic to topic, or a batching sink.

One at a time: https://quix.io/docs/quix-streams/quickstart.html (`app.dataframe`, `sdf.apply`, `sdf.to_topic`). In
batches: https://quix.io/docs/quix-streams/connectors/sinks/custom-sinks.html, a `BatchingSink` whose `write` gets what
a checkpoint gathered of a partition; it writes to Kafka by `app.get_producer()`, and each checkpoint waits for that.
(The other way to batches are windows, each headline of which goes through a state store.)

A checkpoint of 10,000 headlines, each of which waits for the broker once: 4,000 and 30,000 were no faster. No changelog
topics, for there is no state. The rest are librdkafka's settings; idempotent producing is the library's own default.
"""

from __future__ import annotations

from typing import Any

from quixstreams import Application, message_context
from quixstreams.models import Topic
from quixstreams.sinks import BatchingSink, SinkBatch

from tests.benchmarks.peers.collector import collect_seldom
from tests.benchmarks.peers.librdkafka import CONSUMER, PRODUCER
from tests.benchmarks.peers.options import Options, read_options
from tests.benchmarks.peers.student import Student, labelled, now, open_student

COMMIT_EVERY = 10_000
COMMIT_SECONDS = 1.0


class LabellingSink(BatchingSink):  # type: ignore[misc]  # its types are in the peer's environment
    """Labels what a checkpoint gathered, and hands it to a producer."""

    def __init__(self, app: Application, output: Topic, student: Student) -> None:
        super().__init__()
        self._output, self._student, self._producer = output, student, app.get_producer()

    def write(self, batch: SinkBatch) -> None:
        """One partition's headlines."""
        received_at, items = now(), list(batch)
        verdicts = self._student.verdicts([item.value["title"] for item in items])
        times = received_at, now()
        for item, verdict in zip(items, verdicts, strict=True):
            origin = (batch.topic, batch.partition, item.offset)
            event = labelled(item.value, verdict, self._student.model_id, origin, times)
            message = self._output.serialize(key=item.key, value=event)
            self._producer.produce(topic=self._output.name, key=message.key, value=message.value)

    def flush(self) -> None:
        """Label, and wait for the broker."""
        super().flush()
        self._producer.flush()


def main(options: Options) -> None:
    """Label until SIGTERM."""
    student = open_student(options.bundle, options.engine)
    app = Application(
        broker_address=options.bootstrap,
        consumer_group=options.group,
        auto_offset_reset="earliest",
        commit_every=COMMIT_EVERY,
        commit_interval=COMMIT_SECONDS,
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
