"""What a labelled event travels in: nothing, the number of its JSON Schema before its JSON, or CloudEvents' headers.

Within the fourth station of the journey. Dead letters and tombstones travel as they are.

CloudEvents: the binary content mode of the Kafka protocol binding 1.0.2. The number: Confluent's wire format, a zero
byte and four bytes of the schema's number in a registry, which readers of that registry take off again.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum

from kuaixun.schemas.dead_letter import Header
from kuaixun.worker.records import Record

CONTENT_TYPE = "content-type"
# What a record that is a CloudEvent itself says of its own JSON. Its other headers, extensions among them, are carried.
_OF_THE_RECORD = {
    CONTENT_TYPE,
    *(f"ce_{name}" for name in ("specversion", "id", "source", "type", "time", "subject", "dataschema")),
}


class EventFormat(StrEnum):
    """How a labelled event stands on the output topic."""

    JSON = "json"
    CLOUDEVENTS = "cloudevents"


@dataclass(frozen=True, slots=True)
class Envelope:
    """`prefix` stands before each event's JSON, `attributes` among the headers of each: none, and none are changed."""

    prefix: bytes = b""
    attributes: tuple[Header, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether an event travels as it is."""
        return not (self.prefix or self.attributes)

    def headers(self, record: Record) -> tuple[Header, ...]:
        """Of the event that came of a record. Its id says where that stands, so whoever meets it twice can tell."""
        if not self.attributes:
            return record.headers
        carried = tuple(header for header in record.headers if header[0].lower() not in _OF_THE_RECORD)
        own_id = f"{record.topic}/{record.partition}/{record.offset}"
        return (*carried, *self.attributes, ("ce_id", own_id.encode()))


def numbered(schema_number: int) -> Envelope:
    """JSON behind the number of its schema.

    >>> numbered(258).prefix
    b'\\x00\\x00\\x00\\x01\\x02'
    """
    return Envelope(prefix=struct.pack(">BI", 0, schema_number))


def cloud_events(source: str, kind: str, schema_address: str | None = None) -> Envelope:
    """CloudEvents of one source and type, and where their schema can be read."""
    attributes = {
        CONTENT_TYPE: "application/json",
        "ce_specversion": "1.0",
        "ce_type": kind,
        "ce_source": source,
        **({"ce_dataschema": schema_address} if schema_address is not None else {}),
    }
    return Envelope(attributes=tuple((name, value.encode()) for name, value in attributes.items()))
