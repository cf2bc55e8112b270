"""Who looks on while a worker works: what it is told, and that it changes nothing. Beside the headline's journey."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from kuaixun.worker.dead_letter_limit import DeadLetterLimit
from kuaixun.worker.delivery.promise import Delivery
from kuaixun.worker.kafka.sink import KafkaSink
from kuaixun.worker.kafka.source import KafkaSource
from kuaixun.worker.labels import Labels
from kuaixun.worker.outcomes import Outcome
from kuaixun.worker.records import Record
from kuaixun.worker.reload import Reloads


@dataclass(frozen=True, slots=True)
class Handled:
    """A batch that is on its way to the broker, and when each step was done, by the loop's monotonic clock.

    The loop began to read at `began_at`, had the records at `read_at`, their outcomes at `labelled_at`, and at
    `sent_at` the producer had them as far as there was room.
    """

    records: Sequence[Record]
    outcomes: Sequence[Outcome]
    began_at: float
    read_at: float
    labelled_at: float
    sent_at: float


@dataclass(frozen=True, slots=True)
class Parts:
    """The worker's own parts, which count for themselves."""

    source: KafkaSource
    sink: KafkaSink
    delivery: Delivery
    reloads: Reloads
    limit: DeadLetterLimit


class Witness(Protocol):
    """Told of everything by the loop's own thread, which waits until it is done. Raises nothing."""

    def reaching(self, outage_seconds: Callable[[], float]) -> None:
        """The brokers are about to be asked; this says how long they have not answered, 0 while they do."""

    def begin(self, parts: Parts) -> None:
        """The worker is put together, and the loop about to begin."""

    def take_up(self, model: Labels) -> Labels:
        """A model labels from here on; returns it, or one that says the same and tells of it."""

    def handled(self, batch: Handled) -> None:
        """A batch is labelled and sent."""

    def confirmed(self, records: Sequence[Record], outcomes: Sequence[Outcome]) -> None:
        """A batch is confirmed. See Observer."""

    def turned(self, joined: bool) -> None:
        """The loop has turned; `joined` once the group has given this worker its share."""


class Nobody:
    """A Witness that does not look."""

    def reaching(self, outage_seconds: Callable[[], float]) -> None:
        """See Witness."""

    def begin(self, parts: Parts) -> None:
        """See Witness."""

    def take_up(self, model: Labels) -> Labels:
        """See Witness."""
        return model

    def handled(self, batch: Handled) -> None:
        """See Witness."""

    def confirmed(self, records: Sequence[Record], outcomes: Sequence[Outcome]) -> None:
        """See Witness."""

    def turned(self, joined: bool) -> None:
        """See Witness."""
