"""An outcome on its way back to Kafka: which topic and partition, and what it carries over from its record.

Key, headers (all of them, in order) and timestamp are the record's own; `envelope` says what is added to an event. The
partition keeps order: by default record n of input partition p stands in output partition p modulo the output's
partition count. So order per input partition is kept whatever the keys, null keys too; where both topics have as many
partitions, or the output a divisor of them, the output is also partitioned by key exactly as the input is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from kuaixun.worker.envelope import Envelope
from kuaixun.worker.messages import Outgoing, OutgoingColumns
from kuaixun.worker.outcomes import DeadLettered, Labelled, Outcome, Outcomes
from kuaixun.worker.records import Record, Records


class Partitioning(StrEnum):
    """How the output's partition is chosen.

    `source`: by the input's partition, which keeps each input partition's order. `key`: by Java's murmur2 of the key,
    for an output that is joined with topics of another partition count; records without a key go as under `source`.
    """

    SOURCE = "source"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class Target:
    """A topic to produce to."""

    topic: str
    partitions: int


@dataclass(frozen=True, slots=True)
class Routes:
    """Where outcomes go."""

    labelled: Target
    dead_letters: Target
    partitioning: Partitioning = Partitioning.SOURCE
    envelope: Envelope = field(default_factory=Envelope)

    def address_all(self, records: Sequence[Record], outcomes: Sequence[Outcome]) -> OutgoingColumns:
        """The messages that carry a batch's outcomes."""
        if self.partitioning is not Partitioning.SOURCE or not self.envelope.is_plain:
            return OutgoingColumns.of(list(map(self.address, records, outcomes)))
        columns, became = Records.of(records), Outcomes.of(outcomes)
        partitions = self.labelled.partitions
        messages = OutgoingColumns(
            topics=[self.labelled.topic] * len(columns),
            partitions=[number % partitions for number in columns.partitions],
            keys=[*columns.keys],
            values=[*became.values],
            headers=[*columns.headers],
            timestamps_ms=[*columns.timestamps_ms],
        )
        for row, outcome in became.others.items():
            messages[row] = self.address(columns[row], outcome)
        return messages

    def address(self, record: Record, outcome: Outcome) -> Outgoing:
        """The message that carries an outcome."""
        target, key, value, headers = self.labelled, record.key, None, record.headers
        if isinstance(outcome, Labelled):
            value, headers = self.envelope.prefix + outcome.value, self.envelope.headers(record)
        elif isinstance(outcome, DeadLettered):
            letter = outcome.letter
            target, key, value, headers = self.dead_letters, letter.key, letter.value, tuple(letter.to_headers())
        by_key = self.partitioning is Partitioning.KEY and key is not None
        return Outgoing(
            topic=target.topic,
            partition=None if by_key else record.partition % target.partitions,
            key=key,
            value=value,
            headers=headers,
            timestamp_ms=record.timestamp_ms,
        )
