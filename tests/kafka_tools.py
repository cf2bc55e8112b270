"""The tools that come with Kafka, as an operator runs them: `kafka-console-consumer.sh` and its like."""

from __future__ import annotations

import subprocess

from tests.conftest import do_without_kafka
from tests.kafka_broker import SHORT_LIVED, BrokerUnavailableError, kafka_jars

CONSOLE_PRODUCER = "org.apache.kafka.tools.ConsoleProducer"
CONSOLE_CONSUMER = "org.apache.kafka.tools.consumer.ConsoleConsumer"
TRANSACTIONS = "org.apache.kafka.tools.TransactionsCommand"
TOOL_SECONDS = 120


def kafka_tool(tool: str, *arguments: str, standard_input: str = "") -> str:
    """What a tool prints. The test is skipped where this machine has no Java or cannot fetch Kafka."""
    try:
        jars = kafka_jars()
    except BrokerUnavailableError as error:
        do_without_kafka(error)
    command = [
        "java",
        "-Xmx256m",
        *SHORT_LIVED,
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
        "-cp",
        f"{jars}/*",
        tool,
        *arguments,
    ]
    done = subprocess.run(
        command, input=standard_input.encode(), capture_output=True, timeout=TOOL_SECONDS, check=False
    )
    said = done.stdout.decode("utf-8")
    assert done.returncode == 0, f"{tool} ended with {done.returncode}: {said}{done.stderr.decode('utf-8', 'replace')}"
    return said
