"""Bytewax: a dataflow from KafkaSource to KafkaSink.

https://docs.bytewax.io/stable/api/bytewax/bytewax.connectors.kafka.html, the first example there: `op.input`, `op.map`,
`op.output`. In batches `op.flat_map_batch`, which gets what the source read at once: a partition's, up to `batch_size`.

https://docs.bytewax.io/stable/guide/advanced-concepts/performance.html: in batches the source reads 20,000 at once,
for the sink waits for the broker after each; from start to end a tenth faster than 1,000, its default. (A drain is
timed from the first event, of which such a source has tens of thousands at once: let a million wait.) One at a time it
reads 100, for what it reads shows all at once, and a thousand take the traced student a second. Two worker threads
then, which are two fifths faster where a core is free, for torch lets go of the interpreter's lock; in batches one, for
two were no faster. The source keeps no group and commits nothing; without a recovery store, as here, a restart begins
anew, which costs it nothing. JSON is by orjson; it has none of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.run import cli_main

from tests.benchmarks.peers.collector import collect_seldom
from tests.benchmarks.peers.options import Options, read_options
from tests.benchmarks.peers.settings import BYTEWAX_READ_AT_ONCE, BYTEWAX_WORKERS, CONSUMER, PRODUCER
from tests.benchmarks.peers.student import labelled, now, open_student


def flow_of(options: Options) -> Dataflow:
    """The dataflow."""
    student = open_student(options.bundle, options.engine)

    def label_all(messages: list[KafkaSourceMessage]) -> Iterable[KafkaSinkMessage]:
        received_at = now()
        news = [orjson.loads(message.value) for message in messages]
        verdicts = student.verdicts([one["title"] for one in news])
        times = received_at, now()
        return [
            KafkaSinkMessage(
                message.key,
                orjson.dumps(
                    labelled(one, verdict, student.model_id, (message.topic, message.partition, message.offset), times)
                ),
            )
            for message, one, verdict in zip(messages, news, verdicts, strict=True)
        ]

    def label(message: KafkaSourceMessage) -> KafkaSinkMessage:
        (one,) = label_all([message])
        return one

    brokers = [options.bootstrap]
    # Its offsets are its own: librdkafka would say nothing of one that is gone, so that one is left out.
    consumer = {name: str(value) for name, value in CONSUMER.items() if name != "auto.offset.reset"}
    producer = {name: str(value) for name, value in PRODUCER.items()}
    flow = Dataflow("labels")
    headlines = op.input(
        "headlines",
        flow,
        KafkaSource(brokers, [options.input], add_config=consumer, batch_size=BYTEWAX_READ_AT_ONCE[options.engine]),
    )
    if options.engine == "traced":
        events = op.map("label", headlines, label)
    else:
        events = op.flat_map_batch("label", headlines, label_all)
    op.output("events", events, KafkaSink(brokers, options.output, add_config=producer))
    return flow


if __name__ == "__main__":
    given = read_options()
    flow = flow_of(given)
    collect_seldom()
    cli_main(flow, workers_per_process=BYTEWAX_WORKERS[given.engine])
