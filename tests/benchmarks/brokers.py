"""The Kafka that is measured on: a real one, or where there is none the client's own."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.benchmarks.failures import BenchmarkError
from tests.benchmarks.worker.own_topics import forget_groups
from tests.kafka_broker import HEAP, POM, BrokerFailedError, BrokerUnavailableError, KafkaBroker, kafka_jars
from tests.worker.mock_broker import MockBroker

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


@contextmanager
def embedded_kafka() -> Iterator[str]:
    """The address of librdkafka's own broker in this process, which needs no Java and keeps a few MB of a partition."""
    with MockBroker() as broker:
        yield broker.bootstrap


def broker_environment(*, embedded: bool = False) -> dict[str, str]:
    """What figures on that broker depend on, as far as it is known before there is one."""
    if embedded:
        return {"kafka": "librdkafka's own broker, in the process that measures"}
    if os.environ.get(NAMED_BY):
        return {"kafka": f"the one that {NAMED_BY} names, whose version and memory are not asked"}
    return {"kafka": kafka_version(), "java": java_version(), "broker's heap": HEAP.removeprefix("-Xmx")}


def kafka_version() -> str:
    """Of the broker that is started here. Raises RuntimeError where the pom is of another form."""
    found = re.search(r"<artifactId>kafka_[^<]*</artifactId>\s*<version>([^<]+)<", POM.read_text(encoding="utf-8"))
    if found is None:
        raise RuntimeError(f"{POM} names no version of Kafka")
    return found[1]


def java_version() -> str:
    """The first line of what `java -version` says; `none` where there is no Java, which the broker's start tells of."""
    try:
        said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    except FileNotFoundError:
        return "none"
    lines = [line for line in said.splitlines() if "version" in line]  # before it may stand what options were picked up
    return lines[0] if lines else said.strip()
