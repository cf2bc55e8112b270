"""The Kafka that is measured on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.benchmarks.failures import BenchmarkError
from tests.benchmarks.worker.own_topics import forget_groups
from tests.kafka_broker import BrokerFailedError, BrokerUnavailableError, KafkaBroker, kafka_jars

ANSWER_SECONDS = 15
NAMED_BY = "KUAIXUN_TEST_BOOTSTRAP"


@contextmanager
def real_kafka(properties: Mapping[str, str] | None = None) -> Iterator[str]:
    """The address of the one that KUAIXUN_TEST_BOOTSTRAP names, else of one that ends with the context.

    `properties` are those of the latter, beside the ones that tests have. Raises BenchmarkError where there is none.
    """
    if named := os.environ.get(NAMED_BY):
        try:
            AdminClient({"bootstrap.servers": named, "log_level": 0}).list_topics(timeout=ANSWER_SECONDS)
        except KafkaException as exception:
            reason = exception.args[0].str()
            raise BenchmarkError(f"{NAMED_BY}={named}: no broker answers in {ANSWER_SECONDS} s: {reason}") from None
        try:
            yield named
        finally:
            forget_groups(named)
        return
    with ExitStack() as stack:
        try:
            broker = stack.enter_context(KafkaBroker(kafka_jars(), properties=properties or {}))
        except (BrokerUnavailableError, BrokerFailedError) as error:
            raise BenchmarkError(str(error)) from None
        yield broker.bootstrap
