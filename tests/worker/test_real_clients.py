"""What operators look with, Kafka's own console consumer and kcat, shows the events: key, headers and all."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from kuaixun.schemas.dead_letter import Header
from kuaixun.worker.delivery.promise import Guarantee
from tests.kafka_tools import CONSOLE_CONSUMER, TOOL_SECONDS, kafka_tool
from tests.worker.fake_classifier import expected_label
from tests.worker.running import running_worker
from tests.worker.test_contract import news, record
from tests.worker.topics import Topics

HEADERS: tuple[Header, ...] = (("trace", b"00-abc-01"), ("来源", "新华社".encode()), ("trace", b"second"))
KEYS = ("键0", "k1", "k2")
TOMBSTONE = "gone"


@pytest.fixture
def labelled(kafka_topics: Callable[..., Topics]) -> Topics:
    """Topics with an event a key and a tombstone, all with headers, that a worker has labelled in transactions."""
    topics = kafka_topics(Guarantee.EXACTLY_ONCE)
    events = [record(0, news(key, f"标题{key}"), key.encode(), HEADERS) for key in KEYS]
    topics.write([*events, record(0, None, TOMBSTONE.encode(), HEADERS)])
    with running_worker(topics.settings()):
        topics.wait_for(topics.output, len(events) + 1)
    return topics


def assert_shown(shown: dict[str, dict[str, Any] | None]) -> None:
    """What a client has shown, event by key."""
    assert set(shown) == {*KEYS, TOMBSTONE}
    assert shown.pop(TOMBSTONE) is None
    for key, event in shown.items():
        assert event is not None
        assert (event["id"], event["label"]) == (key, expected_label(f"标题{key}"))


def test_kafka_s_console_consumer_shows_the_events_with_key_and_headers(labelled: Topics) -> None:
    said = kafka_tool(
        CONSOLE_CONSUMER,
        *("--bootstrap-server", labelled.bootstrap, "--topic", labelled.output, "--from-beginning"),
        *("--max-messages", str(len(KEYS) + 1), "--command-property", "isolation.level=read_committed"),
        *("--formatter-property", "print.key=true", "--formatter-property", "print.headers=true"),
        *("--formatter-property", "key.separator=|"),
    )
    shown: dict[str, dict[str, Any] | None] = {}
    for line in said.splitlines():
        headers, key, value = line.split("|", 2)
        assert headers == ",".join(f"{name}:{(content or b'').decode()}" for name, content in HEADERS)
        shown[key] = None if value == "null" else json.loads(value)
    assert_shown(shown)


def test_kcat_shows_the_events_with_key_and_headers(labelled: Topics) -> None:
    kcat = shutil.which("kcat")
    if kcat is None:
        pytest.skip("kcat is not on this machine: apt-get install kcat")
    done = subprocess.run(
        [kcat, "-C", "-b", labelled.bootstrap, "-t", labelled.output, "-e", "-q", "-J"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TOOL_SECONDS,
        check=True,
    )
    shown: dict[str, dict[str, Any] | None] = {}
    for line in done.stdout.decode().splitlines():
        message = json.loads(line)
        assert message["headers"] == [part for name, content in HEADERS for part in (name, (content or b"").decode())]
        shown[message["key"]] = None if message["payload"] is None else json.loads(message["payload"])
    assert_shown(shown)
