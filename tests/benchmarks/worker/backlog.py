"""A topic full of headlines, written as fast as the client can."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

from confluent_kafka import Producer

from kuaixun.worker.demo.headlines import own_headlines, read_headlines
from tests.worker.topics import PARTITIONS, Topics

FLUSH_SECONDS = 600


def write_backlog(topics: Topics, count: int, texts: Path | None = None, *, all_at_once: bool = False) -> None:
    """Spread `count` headlines over the input's partitions. Blocks until all are confirmed.

    They are the demo's, or those of a file: the first column of each line. `all_at_once` writes them in a transaction,
    so that none is seen before the last.
    """
    values = payloads(texts)
    producer = Producer(
        {
            "bootstrap.servers": topics.bootstrap,
            "compression.type": "lz4",
            "linger.ms": 20,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 1_000_000,
            **({"transactional.id": topics.input} if all_at_once else {}),
        }
    )
    if all_at_once:
        producer.init_transactions()
        producer.begin_transaction()
    for number, value in zip(range(count), itertools.cycle(values), strict=False):
        while True:
            try:
                producer.produce(topics.input, value, b"%d" % number, number % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.1)
        if number % 10_000 == 0:
            producer.poll(0)
    if producer.flush(FLUSH_SECONDS):
        raise RuntimeError("the broker does not take the backlog")
    if all_at_once:
        producer.commit_transaction()


def payloads(texts: Path | None = None) -> list[bytes]:
    """Raw events of the demo's headlines, or of a file's."""
    if texts is None:
        titles = [headline.event["title"] for headline in read_headlines(own_headlines()) if headline.event is not None]
    else:
        titles = [line.partition("\t")[0] for line in texts.read_text(encoding="utf-8").splitlines()]
    return [json.dumps({"id": f"n{i}", "title": title}, ensure_ascii=False).encode() for i, title in enumerate(titles)]
