"""The commands as an operator runs them: two workers on real Kafka say exactly what `kuaixun-export classify` says.

Reads the demo's own headlines, or one text a line from the file that KUAIXUN_TEST_HEADLINES names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from kuaixun.worker.demo.headlines import own_headlines
from kuaixun.worker.records import Record
from tests.worker.running import worker_process
from tests.worker.topics import PARTITIONS, Topics

WORKERS = 2


def titles() -> list[str]:
    if path := os.environ.get("KUAIXUN_TEST_HEADLINES"):
        return Path(path).read_text(encoding="utf-8").splitlines()
    lines = map(json.loads, own_headlines().read_text(encoding="utf-8").splitlines())
    return [line["event"]["title"].replace("\n", " ") for line in lines if "label" in line]


def classified(texts: list[str]) -> list[dict[str, object]]:
    """What the command line says of the texts."""
    answers = subprocess.run(
        [sys.executable, "-m", "kuaixun.export.cli", "classify"],
        input="".join(f"{text}\n" for text in texts),
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in answers.stdout.splitlines()]


def test_two_workers_label_as_the_command_line_does(kafka_topics: Callable[..., Topics]) -> None:
    topics = kafka_topics()
    texts = titles()
    expected = classified(texts)
    assert len(expected) == len(texts)
    with ExitStack() as workers:
        # Both hold partitions before the first headline comes, so that both take part.
        for _ in range(WORKERS):
            workers.enter_context(worker_process(topics, "--max-batch", "100"))
        topics.write(
            [
                Record(
                    "", row % PARTITIONS, 0, f"k{row}".encode(), json.dumps({"id": str(row), "title": text}).encode()
                )
                for row, text in enumerate(texts)
            ]
        )
        messages = topics.read(topics.output, len(texts))
    assert len(messages) == len(texts)
    offsets: dict[int, list[int]] = defaultdict(list)
    for message in sorted(messages, key=lambda m: (m.partition(), m.offset())):
        event = json.loads(message.value() or b"")
        answer = expected[int(event["id"])]
        assert message.key() == f"k{event['id']}".encode()
        assert (event["label"], event["confidence"]) == (answer["label"], answer["confidence"])
        assert message.partition() == event["origin"]["partition"]
        offsets[event["origin"]["partition"]].append(event["origin"]["offset"])
    assert all(numbers == list(range(len(numbers))) for numbers in offsets.values())
    assert sum(topics.committed()) == len(texts)
