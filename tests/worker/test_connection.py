"""What a client has noted of its brokers is what is said of them, at whatever moment patience ends."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException

from kuaixun.worker.errors import BrokerUnreachableError
from kuaixun.worker.kafka.connection import Client, Connection
from kuaixun.worker.settings import read_settings


def no_answer(*_: object, **__: object) -> Any:
    raise KafkaException(KafkaError(KafkaError._TRANSPORT))


@pytest.mark.parametrize("call", range(2, 9))
def test_the_noted_trouble_is_told_whichever_look_at_the_clock_finds_that_time_is_over(call: int) -> None:
    settings = read_settings({"input_topic": "raw", "connect_seconds": 5})
    looks = itertools.count(-1)  # the first is the outage's own
    connection = Connection(settings, {}, lambda: 0.0 if next(looks) < call else 6.0)
    connection.outage.trouble(BrokerUnreachableError("Connection refused"))
    client = cast("Client", SimpleNamespace(list_topics=no_answer, poll=lambda _seconds: 0))
    with pytest.raises(BrokerUnreachableError, match="Connection refused"):
        connection.partition_count(client, "raw")
