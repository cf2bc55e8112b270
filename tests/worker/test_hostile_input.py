"""Ten thousand hostile payloads on real Kafka, served by the shipped bundle: each has the outcome it deserves."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from kuaixun.export import open_classifier
from kuaixun.schemas.dead_letter import DeadLetter, DeadLetterReason
from kuaixun.worker.records import Record
from tests.kafka_broker import create_topic
from tests.worker.hostile import HUGE_BYTES, Hostile, hostile_payloads
from tests.worker.running import running_worker
from tests.worker.topics import PARTITIONS, Topics

COUNT = 10_000
HUGE = 30
SEED = 2026


def test_every_hostile_payload_has_the_outcome_it_deserves(kafka_bootstrap: str) -> None:
    payloads = hostile_payloads(COUNT, SEED, HUGE)
    topics = Topics(kafka_bootstrap, "hostile.raw", "hostile.labelled", "hostile.dead", "hostile", 6000)
    create_topic(kafka_bootstrap, topics.input, PARTITIONS, **{"max.message.bytes": str(2 * HUGE_BYTES)})
    for topic in (topics.output, topics.dead_letter):
        create_topic(kafka_bootstrap, topic, PARTITIONS)
    topics.write([Record("", i % PARTITIONS, 0, str(i).encode(), payload.value) for i, payload in enumerate(payloads)])
    dead = sum(payload.reason is not None for payload in payloads)
    unlimited = topics.settings(max_delay_ms=20, dead_letter_ratio=1, dead_letters_in_a_row=0)
    with running_worker(unlimited, classifier=open_classifier(threads=1)) as worker:
        passed = topics.read(topics.output, COUNT - dead)
        letters = topics.read(topics.dead_letter, dead)
    assert len(passed) + len(letters) == COUNT
    assert {m.key() for m in passed} | {m.key() for m in letters} == {str(i).encode() for i in range(COUNT)}

    for message in passed:
        payload = payload_of(message.key(), payloads)
        assert payload.reason is None, payload.value[:200] if payload.value else None
        if payload.value is None:
            assert message.value() is None
        else:
            assert json.loads(message.value() or b"")["label"]
    for message in letters:
        payload = payload_of(message.key(), payloads)
        headers: list[Any] = list(message.headers() or [])
        letter = DeadLetter.from_record(message.key(), message.value(), headers)
        assert letter.reason is payload.reason, (payload.value or b"")[:200]
        assert payload.value is not None
        kept = letter.value or b""
        assert payload.value.startswith(kept)
        assert len(kept) + letter.value_bytes_cut == len(payload.value)
        assert not letter.value_bytes_cut or letter.reason is DeadLetterReason.OUTPUT_TOO_LARGE
    assert worker.counts.dead_lettered == Counter(p.reason for p in payloads if p.reason is not None)
    assert sum(topics.committed()) == COUNT


def payload_of(key: bytes | str | None, payloads: list[Hostile]) -> Hostile:
    return payloads[int(key or b"")]
