"""Throughput: a backlog waits, and the processes of a contender drain it; what counts is what stands in the output."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from confluent_kafka import Consumer, ConsumerGroupState, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from kuaixun.worker.delivery.promise import Guarantee
from kuaixun.worker.kafka.client_errors import COORDINATOR_ON_ITS_WAY
from tests.benchmarks.failures import BenchmarkError
from tests.benchmarks.stream.contenders import Contender
from tests.benchmarks.stream.visitor import Visitor
from tests.benchmarks.worker.backlog import write_backlog
from tests.benchmarks.worker.own_topics import own_topics
from tests.benchmarks.worker.processes import Process, ended
from tests.kafka_broker import NOTICES
from tests.worker.topics import PARTITIONS, PATIENCE_SECONDS, Topics

LOOK_EVERY_SECONDS = 0.1  # each look is a request for each partition, which the broker serves on the same processors
MOST_SECONDS = 15.0  # for the slow ones, whose rate is known long before they are through


class DrainError(BenchmarkError):
    """A drain has no figure; the message says whose, and why."""


@dataclass(frozen=True, slots=True)
class Drained:
    """What all processes together did, what they took of the processors, and the most memory that one of them had."""

    messages_per_second: float
    processor_microseconds: float  # for a message
    peak_megabytes: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Backlog:
    """Headlines that wait in a topic."""

    topics: Topics
    messages: int
    texts: Path | None

    @classmethod
    @contextmanager
    def written(cls, bootstrap: str, messages: int, texts: Path | None) -> Iterator[Backlog]:
        """On topics of its own, which are gone afterwards. Blocks until the broker has all."""
        with own_topics(bootstrap) as topics:
            write_backlog(topics, messages, texts)
            yield cls(topics, messages, texts)


@contextmanager
def started(contender: Contender, topics: Topics, processes: int) -> Iterator[list[Process]]:
    """Processes of a contender that are ended with the context."""
    with ExitStack() as stack:
        yield [stack.enter_context(ended(Process(contender.command(topics)))) for _ in range(processes)]


def drain(contender: Contender, backlog: Backlog, delivery: Guarantee, processes: int) -> Drained:
    """From the first outcome that counts to the last, or until MOST_SECONDS.

    Several processes get a backlog of their own, which is seen once all of them have their share of the partitions.
    Raises DrainError where a process ends, nothing comes out, nothing follows the first, or all of it came at once.
    """
    with own_topics(backlog.topics.bootstrap, delivery=delivery) as own:
        topics = own if processes > 1 else replace(own, input=backlog.topics.input)
        return _drained(contender, backlog, topics, processes)


def _drained(contender: Contender, backlog: Backlog, topics: Topics, processes: int) -> Drained:
    progress = Progress(topics)
    with started(contender, topics, processes) as members:
        if processes > 1:
            wait_for_members(topics, processes)
            write_backlog(topics, backlog.messages, backlog.texts, all_at_once=True)
        with ExitStack() as stack:
            visitors = [stack.enter_context(Visitor(one)) for one in members if contender.visited]
            first = progress.wait_for(1, members)
            began_at = time.monotonic()
            processor_seconds = -sum(one.processor_seconds() for one in members)
            last = progress.wait_for(backlog.messages, members, MOST_SECONDS)
            seconds = time.monotonic() - began_at
            processor_seconds += sum(one.processor_seconds() for one in members)
            peak_kilobytes = max(one.kilobytes("VmHWM") for one in members)
        for visitor in visitors:
            visitor.raise_any()
    progress.close()
    if first >= backlog.messages:
        raise DrainError(f"{contender.name} was through before it could be looked at: let more messages wait")
    if last == first:
        raise DrainError(f"{contender.name} stood still for {MOST_SECONDS:g} s after its first {first:,} outcomes")
    return Drained(
        messages_per_second=(last - first) / seconds,
        processor_microseconds=processor_seconds / (last - first) * 1e6,
        peak_megabytes=peak_kilobytes / 1024,
        seconds=seconds,
    )


class Progress:
    """How many outcomes count by now: written ones, or committed ones where transactions are promised."""

    def __init__(self, topics: Topics) -> None:
        # As a reader of committed records it would wait for each transaction's end, and trouble the broker with it.
        self._looker = Consumer(
            {
                "bootstrap.servers": topics.bootstrap,
                "group.id": topics.group,
                "isolation.level": "read_uncommitted",
                "log_level": NOTICES,
            }
        )
        self._inputs = [TopicPartition(topics.input, number) for number in range(PARTITIONS)]
        self._outputs = [TopicPartition(topics.output, number) for number in range(PARTITIONS)]
        self._by_offsets = topics.delivery is Guarantee.EXACTLY_ONCE

    def count(self) -> int:
        """Ask the broker."""
        if self._by_offsets:
            return sum(max(0, one.offset) for one in self._looker.committed(self._inputs, timeout=PATIENCE_SECONDS))
        return sum(self._looker.get_watermark_offsets(one, timeout=PATIENCE_SECONDS)[1] for one in self._outputs)

    def wait_for(
        self,
        least: int,
        members: list[Process],
        most_seconds: float = PATIENCE_SECONDS,
        every_seconds: float = LOOK_EVERY_SECONDS,
    ) -> int:
        """How many there are once there are as many, or that time is over. Raises DrainError where a member ends,
        or there is none at all by then.
        """
        deadline = time.monotonic() + most_seconds
        while (count := self.count()) < least and time.monotonic() < deadline:
            for one in members:
                if one.process.poll() is not None:
                    raise DrainError(f"the contender ended: {''.join(one.said)}")
            time.sleep(every_seconds)
        if not count:
            said = "".join(members[0].said) or "the contender says nothing"
            raise DrainError(f"nothing comes out in {most_seconds:g} s: {said}")
        return count

    def close(self) -> None:
        """Close the client."""
        self._looker.close()


def wait_for_members(topics: Topics, members: int) -> None:
    """Until so many members of the group have partitions. Raises DrainError where that takes too long."""
    admin = AdminClient({"bootstrap.servers": topics.bootstrap, "log_level": NOTICES})
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            group = admin.describe_consumer_groups([topics.group])[topics.group].result(PATIENCE_SECONDS)
        except KafkaException as exception:
            if exception.args[0].code() not in COORDINATOR_ON_ITS_WAY:
                raise
        else:
            shares = [len(one.assignment.topic_partitions) for one in group.members if one.assignment is not None]
            if group.state is ConsumerGroupState.STABLE and sum(map(bool, shares)) >= members:
                return
        time.sleep(LOOK_EVERY_SECONDS)
    raise DrainError(f"the group did not come to {members} members")
