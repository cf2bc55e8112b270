"""A record of an output topic, read as any consumer of the labels would read it."""

from __future__ import annotations

import msgspec

from kuaixun.schemas.dead_letter import DeadLetter
from kuaixun.schemas.events import LabelledNews
from kuaixun.worker.demo.ledger import Arrival, Fate
from kuaixun.worker.records import Record

TEXT_BYTES_LIMIT = 600

_DECODER = msgspec.json.Decoder(LabelledNews)


def read_arrival(record: Record, dead_letter_topic: str) -> Arrival:
    """What came back. Raises msgspec.MsgspecError where the worker wrote what its own schema does not allow.

    A labelled event is entered under its own id, which the demo made equal to the record's key: should the worker mix
    up two headlines, one of them is lost.
    """
    key = (record.key or b"").decode("utf-8", "replace")
    if record.topic == dead_letter_topic:
        letter = DeadLetter.from_record(record.key, record.value, record.headers)
        text = (letter.value or b"")[:TEXT_BYTES_LIMIT].decode("utf-8", "replace")
        return Arrival(key, Fate.DEAD_LETTERED, letter.reason.value, text or "(an empty value)")
    if record.value is None:
        return Arrival(key, Fate.TOMBSTONE, Fate.TOMBSTONE.value, f"(no value, key {key})")
    event = _DECODER.decode(record.value)
    return Arrival(event.id, Fate.LABELLED, event.label, event.title, event.confidence)
