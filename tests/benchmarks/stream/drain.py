"""Throughput: a backlog waits, and the processes of a contender drain it; what counts is what stands in the output."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient

from kuaixun.worker.delivery.promise import Guarantee
from kuaixun.worker.kafka.client_errors import COORDINATOR_ON_ITS_WAY
from tests.benchmarks.stream.contenders import Contender
from tests.benchmarks.stream.progress import LOOK_EVERY_SECONDS, SOON_SECONDS, DrainError, Progress, first_offsets
from tests.benchmarks.stream.visitor import Visitor
from tests.benchmarks.worker.backlog import write_backlog
from tests.benchmarks.worker.own_topics import own_topics
from tests.benchmarks.worker.processes import Process, ended
from tests.kafka_broker import NOTICES
from tests.worker.topics import PATIENCE_SECONDS, Topics

MOST_SECONDS = 15.0  # for the slow ones, whose rate is known long before they are through


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
        """On topics of its own, which are gone afterwards. Blocks until the broker has all.

        Raises DrainError where it keeps fewer.
        """
        with own_topics(bootstrap) as topics:
            write_backlog(topics, messages, texts)
            if gone := first_offsets(topics):
                raise DrainError(f"the broker keeps only {messages - gone:,} of {messages:,} headlines: let fewer wait")
            yield cls(topics, messages, texts)


@contextmanager
def started(contender: Contender, topics: Topics, processes: int) -> Iterator[list[Process]]:
    """Processes of a contender that are ended with the context."""
    with ExitStack() as stack:
        yield [stack.enter_context(ended(Process(contender.command(topics)))) for _ in range(processes)]


def drain(contender: Contender, backlog: Backlog, delivery: Guarantee, processes: int) -> Drained:
    """From the first outcome that counts to the last, or until MOST_SECONDS.

    Several processes get a backlog of their own, which is seen once all of them have their share of the partitions.
    Raises DrainError where a process ends, nothing comes out, nothing follows for long, or all of it came at once.
    """
    with own_topics(backlog.topics.bootstrap, delivery=delivery) as own:
        topics = own if processes > 1 else replace(own, input=backlog.topics.input)
        return _drained(contender, backlog, topics, processes)


def warm_up(contender: Contender, backlog: Backlog, deliveries: Sequence[Guarantee], seconds: float) -> None:
    """Drain it with each guarantee in turn, which counts for nothing: once, and on until so much time is over.

    Java compiles meanwhile what a broker does. It takes up to half of the processor time of one that was just started,
    and more of it for transactions, so that it would stand in the figures of whoever is measured first. Raises what
    `drain` raises.
    """
    deadline = time.monotonic() + seconds
    for delivery in itertools.cycle(deliveries):
        drain(contender, backlog, delivery, 1)
        if time.monotonic() >= deadline:
            return


def _drained(contender: Contender, backlog: Backlog, topics: Topics, processes: int) -> Drained:
    progress = Progress(topics)
    with started(contender, topics, processes) as members:
        if processes > 1:
            wait_for_members(topics, processes)
            write_backlog(topics, backlog.messages, backlog.texts, all_at_once=True)
        with ExitStack() as stack:
            visitors = [stack.enter_context(Visitor(one)) for one in members if contender.visited]
            # Soon, for the first that counts may be a whole transaction, and what follows it counts with the next.
            first = progress.wait_for(1, members, every_seconds=SOON_SECONDS)
            processor_seconds = -sum(one.processor_seconds() for one in members)
            last = progress.wait_for(backlog.messages, members, MOST_SECONDS)
            processor_seconds += sum(one.processor_seconds() for one in members)
            peak_kilobytes = max(one.kilobytes("VmHWM") for one in members)
        for visitor in visitors:
            visitor.raise_any()
    progress.close()
    if first.count >= backlog.messages:
        raise DrainError(f"{contender.name} was through before it could be looked at: let more messages wait")
    messages, seconds = last.count - first.count, last.at_seconds - first.at_seconds
    return Drained(
        messages_per_second=messages / seconds,
        processor_microseconds=processor_seconds / messages * 1e6,
        peak_megabytes=peak_kilobytes / 1024,
        seconds=seconds,
    )


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
