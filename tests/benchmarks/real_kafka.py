"""The Kafka that is measured on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.kafka_broker import KafkaBroker, kafka_jars


@contextmanager
def real_kafka(properties: Mapping[str, str] | None = None) -> Iterator[str]:
    """The address of the one that KUAIXUN_TEST_BOOTSTRAP names, else of one that ends with the context.

    `properties` are those of the latter, beside the ones that tests have.
    """
    if named := os.environ.get("KUAIXUN_TEST_BOOTSTRAP"):
        yield named
        return
    with KafkaBroker(kafka_jars(), properties=properties or {}) as broker:
        yield broker.bootstrap
