"""Reading dead letters for a replay. The first station of their second journey."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from kuaixun.worker.kafka.reading import Event
from kuaixun.worker.kafka.source import KafkaSource
from kuaixun.worker.records import Partition, named
from kuaixun.worker.settings import WorkerSettings
from kuaixun.worker.streams import Mark


class KafkaLetterSource(KafkaSource):
    """The consumer of a replay: it reads a topic from end to end and joins no group, though progress is a group's.

    `reached` says how far each partition went when nothing more was to be had of it.
    """

    def __init__(self, settings: WorkerSettings, topic: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__(settings, [topic], monotonic)
        self.reached: dict[Partition, int] = {}

    def _of_the_reading(self) -> dict[str, Any]:
        return {"enable.partition.eof": True}

    def bounds(self) -> Mapping[Partition, range]:
        """The offsets that each partition holds by now, those of open transactions left out. Raises WorkerErrors."""
        (topic,), bounds = self._topics, dict[Partition, range]()
        timeout_seconds = self._connection.settings.connect_seconds
        for number in range(self.partition_count(topic)):
            try:
                first, end = self._consumer.get_watermark_offsets(TopicPartition(topic, number), timeout_seconds)
            except KafkaException as exception:
                raise self._connection.error(exception.args[0], f"asking for the end of {topic}") from None
            bounds[Partition(topic, number)] = range(first, end)
        return bounds

    def marks(self, partitions: Iterable[Partition]) -> Mapping[Partition, Mark]:
        """What the group has committed, once no transaction is open over it; leaves out what has none. Blocks."""
        deadline = self._monotonic() + self._connection.settings.outage_seconds
        try:
            found = self._starts.stable_offsets([TopicPartition(p.topic, p.number) for p in partitions], deadline)
        except KafkaException as exception:
            raise self._connection.error(exception.args[0], "asking for committed offsets") from None
        return {Partition(p.topic, p.partition): Mark(p.offset, p.metadata or "") for p in found if p.offset >= 0}

    def read(self, starts: Mapping[Partition, int]) -> None:
        """Read these partitions from these offsets on, and no others."""
        self._member.owned = frozenset(starts)
        self._reading.begin(starts)
        try:
            self._consumer.assign([TopicPartition(p.topic, p.number, offset) for p, offset in starts.items()])
        except KafkaException as exception:
            raise self._connection.error(exception.args[0], f"reading {named(starts)}") from None

    def _on_event(self, event: Event) -> None:
        if event.error.code() == KafkaError._PARTITION_EOF:
            self.reached[event.partition] = event.offset
        else:
            super()._on_event(event)
