"""Topics that last as long as a measurement: of millions of messages each, their files would fill the disk.

librdkafka's own broker has no requests to make or to delete any: it makes those of four partitions for whoever asks
after them, and they go when it does.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from kuaixun.worker.delivery.promise import Guarantee
from tests.kafka_broker import NOTICES, create_topic
from tests.worker.topics import PARTITIONS, PATIENCE_SECONDS, Topics

PREFIX = f"measured-{os.getpid()}-"
SESSION_MS = 6000  # the least that a broker allows
LOOK_EVERY_SECONDS = 0.5
ANSWER_SECONDS = 15.0  # what a broker that is there needs at most to clean up


@contextmanager
def own_topics(
    bootstrap: str, partitions: int = PARTITIONS, delivery: Guarantee = Guarantee.AT_LEAST_ONCE
) -> Iterator[Topics]:
    """Three topics and a group's name; blocks until they are there, and at the end until the broker lets them go.

    A broker that does not answer by then keeps them, which is told.
    """
    if is_embedded(bootstrap):
        if partitions != PARTITIONS:
            raise ValueError(f"topics of librdkafka's own broker have {PARTITIONS} partitions, not {partitions}")
        yield Topics.create(bootstrap, real=False, delivery=delivery)
        return
    name = f"{PREFIX}{time.monotonic_ns()}"
    topics = Topics(bootstrap, f"{name}.raw", f"{name}.labelled", f"{name}.dead", name, SESSION_MS, delivery)
    names = [topics.input, topics.output, topics.dead_letter]
    try:
        for one in names:
            create_topic(bootstrap, one, partitions)
        yield topics
    finally:
        _delete(bootstrap, names)


def _delete(bootstrap: str, names: list[str]) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": NOTICES})
    for name, deleted in admin.delete_topics(names, request_timeout=ANSWER_SECONDS).items():
        try:
            deleted.result(2 * ANSWER_SECONDS)
        except (KafkaException, TimeoutError) as error:
            # Interrupted before all of them were made.
            missing = KafkaError.UNKNOWN_TOPIC_OR_PART
            if not (isinstance(error, KafkaException) and error.args[0].code() == missing):
                print(f"{bootstrap} does not answer, and keeps the topic {name}", file=sys.stderr)


def is_embedded(bootstrap: str) -> bool:
    """Whether it is librdkafka's own broker, which has no controller, though it names one."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": NOTICES})
    found = admin.list_topics(timeout=PATIENCE_SECONDS)
    return found.controller_id not in found.brokers


def forget_groups(bootstrap: str) -> None:
    """Delete the groups that this process has measured with; blocks until the sessions of those killed are over."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": NOTICES})
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = admin.list_consumer_groups(request_timeout=ANSWER_SECONDS).result(2 * ANSWER_SECONDS).valid
        names = [one.group_id for one in found if one.group_id.startswith(PREFIX)]
        if not names:
            return
        for deleted in admin.delete_consumer_groups(names).values():
            try:
                deleted.result(PATIENCE_SECONDS)
            except KafkaException as exception:
                if exception.args[0].code() not in {KafkaError.NON_EMPTY_GROUP, KafkaError.GROUP_ID_NOT_FOUND}:
                    raise
        time.sleep(LOOK_EVERY_SECONDS)
