"""Topics that last as long as a measurement: of millions of messages each, their files would fill the disk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka.admin import AdminClient

from kuaixun.worker.delivery.promise import Guarantee
from tests.kafka_broker import create_topic
from tests.worker.topics import PARTITIONS, PATIENCE_SECONDS, Topics

SESSION_MS = 6000  # the least that a broker allows


@contextmanager
def own_topics(
    bootstrap: str, partitions: int = PARTITIONS, delivery: Guarantee = Guarantee.AT_LEAST_ONCE
) -> Iterator[Topics]:
    """Three topics and a group's name; blocks until they are there, and at the end until the broker lets them go."""
    name = f"measured-{time.monotonic_ns()}"
    topics = Topics(bootstrap, f"{name}.raw", f"{name}.labelled", f"{name}.dead", name, SESSION_MS, delivery)
    names = [topics.input, topics.output, topics.dead_letter]
    for one in names:
        create_topic(bootstrap, one, partitions)
    try:
        yield topics
    finally:
        admin = AdminClient({"bootstrap.servers": bootstrap})
        for deleted in admin.delete_topics(names).values():
            deleted.result(PATIENCE_SECONDS)
