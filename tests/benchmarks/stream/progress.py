"""How far a contender has come: the outcomes that count by now, and when there are so many."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from kuaixun.worker.delivery.promise import Guarantee
from kuaixun.worker.kafka.client_errors import AWAY, TRANSIENT
from tests.benchmarks.failures import BenchmarkError
from tests.benchmarks.worker.processes import Process
from tests.kafka_broker import NOTICES
from tests.worker.topics import PARTITIONS, PATIENCE_SECONDS, Topics

ANSWER_SECONDS = 15.0
LOOK_EVERY_SECONDS = 0.1  # each look is a request, which the broker serves on the same processors
# An end that is seen late is divided into all messages, and takes the more of a figure the faster a contender is.
# Where the last outcome is due within three looks, for transactions come by the tenth of a second, the next is soon.
STILL_SECONDS = 8.0  # without a further outcome there will be none: what is missing is lost
NEAR_SECONDS = 0.3
SOON_SECONDS = 0.01


class DrainError(BenchmarkError):
    """A drain has no figure; the message says whose, and why."""


@dataclass(frozen=True, slots=True)
class Look:
    """So many outcomes counted at a moment of the monotonic clock, in seconds."""

    count: int
    at_seconds: float


def pause_seconds(first: Look, last: Look, least: int, every_seconds: float) -> float:
    """How long after a look the next one is due, by the pace since the first.

    >>> pause_seconds(Look(0, 0.0), Look(50, 1.0), 100, 0.1), pause_seconds(Look(0, 0.0), Look(90, 1.0), 100, 0.1)
    (0.1, 0.01)
    """
    moved = last.count - first.count
    if moved <= 0:
        return every_seconds
    left_seconds = (least - last.count) * (last.at_seconds - first.at_seconds) / moved
    return every_seconds if left_seconds > NEAR_SECONDS else min(every_seconds, SOON_SECONDS)


def first_offsets(topics: Topics) -> int:
    """How many headlines of the input the broker has let go, over all partitions."""
    earliest = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
    admin = AdminClient({"bootstrap.servers": topics.bootstrap, "log_level": NOTICES})
    wanted = {TopicPartition(topics.input, number): earliest for number in range(PARTITIONS)}
    return _answer(lambda: _sum_of_offsets(admin, wanted))


def _sum_of_offsets(admin: AdminClient, wanted: dict[TopicPartition, OffsetSpec]) -> int:
    """One request, however many partitions there are."""
    found = admin.list_offsets(wanted, request_timeout=ANSWER_SECONDS)
    return sum(one.result().offset for one in found.values())


def _answer(count: Callable[[], int]) -> int:
    """Asked again while the broker does not know yet of topics just made, or of a group that is new."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            return count()
        except KafkaException as exception:
            error = exception.args[0]
            if error.code() not in TRANSIENT - AWAY or time.monotonic() > deadline:
                raise BenchmarkError(f"the broker does not tell what it has: {error.str()}") from None
        time.sleep(LOOK_EVERY_SECONDS)


class Progress:
    """How many outcomes count by now: written ones, or committed ones where transactions are promised.

    One request, however many partitions there are. The first one, which takes a new client as long as a short drain, is
    made at once, so that none of it falls into what is measured.
    """

    def __init__(self, topics: Topics, partitions: int = PARTITIONS) -> None:
        of_the_broker: dict[str, str | int | float | bool] = {
            "bootstrap.servers": topics.bootstrap,
            "log_level": NOTICES,
        }
        self._looker = Consumer({**of_the_broker, "group.id": topics.group})
        self._admin = AdminClient(of_the_broker)
        self._inputs = [TopicPartition(topics.input, number) for number in range(partitions)]
        # Of all that is written: to know which of it is committed would trouble the broker with each transaction's end.
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        # A dead letter is an outcome, too.
        names = (topics.output, topics.dead_letter)
        self._outputs = {TopicPartition(name, number): latest for name in names for number in range(partitions)}
        self._by_offsets = topics.delivery is Guarantee.EXACTLY_ONCE
        self.count()

    def count(self) -> int:
        """Ask the broker."""
        return _answer(self._committed if self._by_offsets else self._written)

    def wait_for(
        self,
        least: int,
        members: list[Process],
        most_seconds: float = PATIENCE_SECONDS,
        every_seconds: float = LOOK_EVERY_SECONDS,
    ) -> Look:
        """The first look that counts so many, or the last one where that time is over.

        Raises DrainError where a member ends, or there is none at all by then, or no further one for STILL_SECONDS.
        """
        first = last = moved = self._look()
        deadline = first.at_seconds + most_seconds
        while last.count < least and last.at_seconds < deadline:
            for one in members:
                if one.process.poll() is not None:
                    raise DrainError(f"the contender ended: {''.join(one.said)}")
            time.sleep(pause_seconds(first, last, least, every_seconds))
            last = self._look()
            if last.count > moved.count:
                moved = last
            if last.count and last.at_seconds - moved.at_seconds > STILL_SECONDS:
                raise DrainError(f"nothing follows the first {last.count:,} outcomes in {STILL_SECONDS:g} s")
        if not last.count:
            said = "".join(members[0].said) or "the contender says nothing"
            raise DrainError(f"nothing comes out in {most_seconds:g} s: {said}")
        return last

    def close(self) -> None:
        """Close the client."""
        self._looker.close()

    def _committed(self) -> int:
        return sum(max(0, one.offset) for one in self._looker.committed(self._inputs, timeout=ANSWER_SECONDS))

    def _written(self) -> int:
        return _sum_of_offsets(self._admin, self._outputs)

    def _look(self) -> Look:
        return Look(self.count(), time.monotonic())
