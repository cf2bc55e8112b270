"""Fixtures that every package's tests share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from tests.kafka_broker import BrokerUnavailableError, running_broker

# How long an example takes says something about the machine, not about the code.
settings.register_profile("unhurried", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


# A shell that starts the tests in the background has them and their processes ignore Ctrl-C, which some tests press.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """The address of a real Kafka: the one named by KUAIXUN_TEST_BOOTSTRAP, else one started for this session.

    Where this machine can have none the test is skipped with the reason; under CI=true it fails.
    """
    named = os.environ.get("KUAIXUN_TEST_BOOTSTRAP")
    if named:
        yield named
        return
    try:
        with running_broker(short_lived=True) as broker:
            yield broker.bootstrap
    except BrokerUnavailableError as error:
        do_without_kafka(error)


def do_without_kafka(error: BrokerUnavailableError) -> NoReturn:
    """See `do_without`."""
    do_without("Kafka", error)


def do_without(what: str, error: Exception) -> NoReturn:
    """Skip the test that cannot have its server; where CI=true promises that nothing is skipped, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"under CI=true the tests need a real {what}: {error}", pytrace=False)
    pytest.skip(f"no real {what}: {error}")
