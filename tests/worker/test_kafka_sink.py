"""The producer's side at the client's seam: which timestamp it is given."""

from __future__ import annotations

from typing import Any

import pytest

from kuaixun.worker import kafka
from kuaixun.worker.kafka import KafkaSink
from kuaixun.worker.settings import read_settings
from kuaixun.worker.streams import Outgoing


@pytest.mark.parametrize(("of_the_record", "sent"), [(0, 1), (1, 1), (1_700_000_000_000, 1_700_000_000_000), (None, 0)])
def test_a_timestamp_of_zero_is_not_sent_as_now(
    monkeypatch: pytest.MonkeyPatch, of_the_record: int | None, sent: int
) -> None:
    given: list[int] = []

    class NotingProducer:
        """Keeps the timestamps; 0 is what librdkafka takes for "now"."""

        def __init__(self, *_: object, **__: object) -> None:
            pass

        def produce(self, _topic: str, *, timestamp: int, **_: Any) -> None:
            given.append(timestamp)

    monkeypatch.setattr(kafka, "Producer", NotingProducer)
    sink = KafkaSink(read_settings({}))
    sink.send(Outgoing("t", 0, None, None, (), of_the_record), lambda _: None)
    assert given == [sent]
