"""Kafka itself: the only module of the project that consumes and produces. First and last station of the journey.

Everything librdkafka says through callbacks is noted here and raised from the next method called, for an exception that
left a callback would take the batch with it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import repeat
from operator import methodcaller
from typing import Any, Self, TypeAlias, cast
from uuid import uuid4

from confluent_kafka import (
    OFFSET_BEGINNING,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from kuaixun.schemas.dead_letter import Header
from kuaixun.worker.call_in_time import OverdueError, call_in_time
from kuaixun.worker.connection import SLICE_SECONDS, Connection, error_of, seen
from kuaixun.worker.errors import (
    AccessRefusedError,
    BrokerUnreachableError,
    FencedError,
    OffsetsMissingError,
    WorkerError,
)
from kuaixun.worker.kafka_errors import (
    COORDINATOR_ON_ITS_WAY,
    FATAL,
    FENCED,
    REBALANCING,
    REFUSED,
    TRANSIENT,
    Outage,
    refusal,
    undelivered,
)
from kuaixun.worker.membership import PROPERTIES, Membership
from kuaixun.worker.settings import OffsetReset, WorkerSettings
from kuaixun.worker.streams import (
    NO_NOTES,
    AbortableError,
    EndUnknownError,
    GroupListener,
    Mark,
    Outgoing,
    Partition,
    QueueFullError,
    Receipts,
    Record,
    Report,
    TooLargeError,
    named,
)

LOG = logging.getLogger(__name__)
CLIENT_LOG = logging.getLogger("librdkafka")
# One line for each of many attempts to connect: `Connection.on_error` hears of them too, and says it once.
CLIENT_LOG.addFilter(
    lambda line: not line.getMessage().startswith(("FAIL ", "ERROR ")) or LOG.isEnabledFor(logging.DEBUG)
)

EMBEDDED_START_SECONDS = 10.0
LEAST_SECONDS = 0.1  # what a call that blocks is given even when the time is over
# Where a name is not UTF-8 the client leaves an exception set and returns all the same, which the interpreter does not
# see in a call of a method that it has specialised; then whatever is called next fails. Here it always sees it.
_HEADERS_OF = methodcaller("headers")
# Of a record, in the order of its fields.
_PARTS = (Message.topic, Message.partition, Message.offset, Message.key, Message.value)
GIVE_UP_SHARE = 0.25  # of the time for a new producer: how long the old one may take to say that another has its name
STAY_EVERY_SECONDS = 1.0  # the group waits for the slowest member, and calls one that is silent too long lost
_BY_KEY = -1  # no partition: the partitioner's choice
_NOW = 0  # no timestamp, to librdkafka, so the nearest other stands for one of 0
_LEAST_TIMESTAMP_MS = 1

DeliveryCallback: TypeAlias = Callable[[KafkaError | None, Message], None]
_Tell: TypeAlias = Callable[[GroupListener, frozenset[Partition]], None]

CONSUMER_DEFAULTS: dict[str, str] = {
    "queued.max.messages.kbytes": "65536",  # what a backlog may take in memory
    # Of small messages what the client keeps beside each, half a kilobyte, would be several times that: fewer of them.
    "queued.min.messages": "20000",
    # Of what comes compressed the limit is known when it is there: no more at once than is well within it unpacked.
    "fetch.message.max.bytes": "1048576",
    "fetch.max.bytes": "8388608",
    "fetch.queue.backoff.ms": "50",
}
PRODUCER_DEFAULTS: dict[str, str] = {
    "compression.type": "lz4",
    "linger.ms": "5",
    # What fitted the input topic fits the dead-letter topic: Kafka's own limit for a batch, rather than the client's.
    "message.max.bytes": "1048588",
    "queue.buffering.max.kbytes": "131072",  # what may await its confirmation in memory
}


class EmbeddedBroker:
    """librdkafka's own broker inside this process, for the demo and the tests; entering it starts it.

    It speaks Kafka's protocol on a port of loopback, makes a topic of four partitions for whoever asks after one, and
    keeps some 5 MB of each partition. A first member of a group waits 3 s for others; one that leaves is only missed
    when its session times out.
    """

    def __enter__(self) -> Self:
        self._host = Producer({"test.mock.num.brokers": 1}, logger=CLIENT_LOG)
        (broker,) = self._host.list_topics(timeout=EMBEDDED_START_SECONDS).brokers.values()
        self.bootstrap = f"{broker.host}:{broker.port}"
        return self

    def __exit__(self, *_: object) -> None:
        # The broker goes when the client that hosts it does.
        del self._host


class KafkaSource:
    """The consumer. See streams.Source. `topics` defaults to the input topic; for the others see Connection."""

    def __init__(
        self,
        settings: WorkerSettings,
        topics: Sequence[str] = (),
        monotonic: Callable[[], float] = time.monotonic,
        look: Callable[[], None] = lambda: None,
    ) -> None:
        properties = settings.consumer_properties()
        self._connection = Connection(settings, properties, monotonic, look)
        self._monotonic = monotonic
        self._topics = list(topics) or [settings.input_topic]
        self._reset = settings.auto_offset_reset
        self._commit_outage = Outage(settings.outage_seconds, monotonic)
        self._listener: GroupListener | None = None
        self._gathered: list[Record] = []
        self._commits_under_way = 0
        self._committing: list[TopicPartition] = []
        self._uncommitted: WorkerError | None = None  # why the last commit failed
        self._stay_at = self._turn_ends_at = 0.0
        self._closing = self._joined = False
        self._owned: frozenset[Partition] = frozenset()
        self._rewinds: dict[Partition, int] = {}
        self._gone: dict[Partition, KafkaError] = {}
        self.rebalances = {"assigned": 0, "revoked": 0, "lost": 0}
        self._membership = Membership(settings.group_protocol)
        self._stranger = b""  # what a member is to a group that it has not joined
        self._static = bool(properties.get("group.instance.id"))
        config: dict[str, Any] = {
            **CONSUMER_DEFAULTS,
            **properties,
            "bootstrap.servers": settings.bootstrap_servers,
            "group.id": settings.group_id,
            # "error", whatever the operator chose: the choice is made here, aloud, and not silently by the client.
            "auto.offset.reset": "error",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "allow.auto.create.topics": False,
            **self._connection.callbacks(),
            "on_commit": self._on_commit,
            **PROPERTIES[settings.group_protocol],
            **self._of_the_reading(),
        }
        try:
            self._consumer = Consumer(config, logger=CLIENT_LOG)
        except KafkaException as exception:
            raise self._connection.error(exception.args[0], "configuring the consumer") from None

    def _of_the_reading(self) -> dict[str, Any]:
        """What a way of reading adds to the consumer's properties."""
        return {}

    def partition_count(self, topic: str) -> int:
        """How many partitions a topic has; never creates one. Raises what `Connection.partition_count` raises."""
        return self._connection.partition_count(self._consumer, topic)

    def subscribe(self, listener: GroupListener) -> None:
        """Join the group. Partitions come with a later `batch`."""
        self._listener = listener
        self._stranger = self._name()
        self._consumer.subscribe(
            self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    @property
    def joined(self) -> bool:
        """See streams.Source. Under KIP-848 a member with no share is not called back, but the group has named it."""
        if not self._joined and self._membership.is_called_back_only_with_a_share:
            self._joined = self._name() != self._stranger
        return self._joined

    @property
    def outage_seconds(self) -> float:
        """How long the brokers have not answered the consumer by now, 0 while they do. For any thread."""
        return max(self._connection.outage.seconds, self._commit_outage.seconds)

    def lags(self) -> Mapping[Partition, int | None]:
        """How many records of each partition that is ours wait to be read, None where the client has not heard yet.

        Does not block: the client knows a partition's end from what it fetched last.
        """
        lags: dict[Partition, int | None] = {}
        with suppress(KafkaException, RuntimeError):
            held = self._consumer.assignment()
            for start, position in zip(held, self._consumer.position(held) if held else [], strict=True):
                low, high = self._consumer.get_watermark_offsets(position, cached=True)
                read_up_to = position.offset if position.offset >= 0 else max(start.offset, low)
                known = high >= 0 and read_up_to >= 0
                lags[Partition(position.topic, position.partition)] = max(0, high - read_up_to) if known else None
        return lags

    def batch(self, max_records: int, max_delay_seconds: float, idle_seconds: float) -> Sequence[Record]:
        """See streams.Source."""
        self._begin_turn()
        # `consume(n, timeout)` waits for all n or the whole timeout, so the first record is waited for alone.
        self._consume(1, 0.0 if self._gathered else idle_seconds)
        deadline = self._monotonic() + max_delay_seconds
        while self._gathered and len(self._gathered) < max_records:
            self._consume(max_records - len(self._gathered), max(0.0, deadline - self._monotonic()))
            if self._monotonic() >= deadline:
                break
        self._connection.probe(self._consumer, self._topics[0])
        records, self._gathered = self._gathered[:max_records], self._gathered[max_records:]
        return records

    def stay(self) -> None:
        """See streams.Source. Reads a record a second, which is kept: pausing would throw away what is fetched."""
        if self._monotonic() < self._stay_at:
            return
        self._begin_turn()
        self._consume(1, LEAST_SECONDS / 10)
        self._connection.probe(self._consumer, self._topics[0])
        self._stay_at = self._monotonic() + STAY_EVERY_SECONDS

    def commit(self, offsets: Mapping[Partition, int], *, last_chance: bool = False) -> None:
        """See streams.Source."""
        if not last_chance:
            self._commit_outage.check()
            if self._commits_under_way:
                return
        self._commit([TopicPartition(p.topic, p.number, offset) for p, offset in offsets.items()])

    def _commit(self, positions: list[TopicPartition]) -> None:
        self._committing = positions
        try:
            self._consumer.commit(offsets=positions, asynchronous=True)
            self._commits_under_way += 1
        except KafkaException as exception:
            self._uncommitted = self._connection.error(exception.args[0], "committing")
            LOG.warning("commit not begun: %s", self._uncommitted)

    def rewind(self, offsets: Mapping[Partition, int]) -> None:
        """See streams.Source. Only noted: in a callback nobody knows what the client is about to hand over."""
        self._rewinds |= {partition: offset for partition, offset in offsets.items() if partition in self._owned}

    def committed(self, partitions: frozenset[Partition], timeout_seconds: float) -> Mapping[Partition, int]:
        """See streams.Source."""
        deadline = self._monotonic() + timeout_seconds
        try:
            found = self._stable_offsets([TopicPartition(p.topic, p.number) for p in partitions], deadline)
        except KafkaException as exception:
            raise self._connection.error(exception.args[0], "asking for committed offsets") from None
        return {Partition(p.topic, p.partition): p.offset for p in found if p.offset >= 0}

    def member(self) -> bytes:
        """See streams.Source."""
        name = self._name()
        # Under KIP-848 a client names itself, and the brokers refuse the name of one that they have dropped.
        nameless = self._membership.group_names_its_members and len(name) <= len(self._stranger)
        if self._listener is not None and (nameless or name == self._stranger):
            raise AbortableError("the group has dropped this worker")
        return name

    def _name(self) -> bytes:
        return cast("bytes", self._consumer.consumer_group_metadata())

    def close(self, timeout_seconds: float) -> bool:
        """See streams.Source. The client finishes commits first, and takes a minute where the brokers are away."""
        self._closing = True
        deadline = self._monotonic() + timeout_seconds / 2
        leaving = threading.Thread(target=self._leave, args=(deadline,), name="leave-group", daemon=True)
        leaving.start()
        leaving.join(timeout_seconds)
        if leaving.is_alive():
            LOG.warning("leaving the group takes too long; its coordinator will notice by the session timeout")
        elif self._uncommitted is not None:
            LOG.warning("the last offsets are not committed: %s", self._uncommitted)
        elif self._commits_under_way:
            LOG.warning("nobody has said whether the last offsets are committed")
        else:
            return True
        return False

    def _await_last_commit(self, deadline: float) -> None:
        """Wait for its answer, and commit again where that was bad, for a restarted worker would do all of it again."""
        while (self._commits_under_way or self._uncommitted is not None) and self._monotonic() < deadline:
            if not self._commits_under_way:
                if isinstance(self._uncommitted, AccessRefusedError):
                    return
                self._commit(self._committing)
            self._consumer.consume(1, LEAST_SECONDS / 2)

    def _leave(self, deadline: float) -> None:
        with suppress(KafkaException, SystemError):
            self._await_last_commit(deadline)
        # In the cooperative protocol the client (2.16) tells the group that it leaves by way of giving up partitions,
        # and one that holds none, such as before its first ones come, stays a member until its session times out.
        # Unsubscribing tells it, once a rebalance under way is over, and takes its name in the group away.
        # A member with a name of its own stays on purpose.
        if self._listener is not None and not self._owned and not self._static:
            with suppress(KafkaException, SystemError):
                self._consumer.unsubscribe()
                while len(self._name()) > len(self._stranger) and self._monotonic() < deadline:
                    self._consumer.consume(1, LEAST_SECONDS / 2)
        self._consumer.close()

    def _begin_turn(self) -> None:
        # What callbacks ask the brokers for has one outage's time together, however many of them there are.
        self._turn_ends_at = self._monotonic() + self._connection.settings.outage_seconds
        self._read_again()
        self._read_on()

    def _consume(self, limit: int, timeout_seconds: float) -> None:
        owned = self._owned
        try:
            messages = self._consumer.consume(limit, timeout_seconds)
        except (KafkaException, SystemError) as exception:
            raise self._connection.raised(exception, f"reading {', '.join(self._topics)}") from None
        # Not by comparing: the client's error leaves an exception set where it is compared with None.
        if any(map(Message.error, messages)):
            for message in messages:
                if message.error() is not None:
                    self._on_event(message)
            messages = [message for message in messages if message.error() is None]
        self._gathered += _records(messages)
        if self._owned is not owned:
            # What was fetched before a rebalance within this very call may belong to the next owner now.
            self._gathered = [r for r in self._gathered if Partition(r.topic, r.partition) in self._owned]
        self._read_again()
        self._connection.raise_noted()
        if self._gathered:
            self._connection.outage.over()

    def _read_again(self) -> None:
        """Go back to where a rewind asks for, and drop what was read of those partitions before."""
        if not self._rewinds:
            return
        rewinds, self._rewinds = self._rewinds, {}
        self._gathered = [r for r in self._gathered if Partition(r.topic, r.partition) not in rewinds]
        try:
            for partition, offset in rewinds.items():
                position = TopicPartition(partition.topic, partition.number, offset)
                if self._gone.pop(partition, None) is None:
                    self._consumer.seek(position)
                else:
                    self._membership.read_on_from(self._consumer, position)
        except KafkaException as exception:
            raise self._connection.error(exception.args[0], f"reading {named(rewinds)} again") from None

    def _on_event(self, message: Message) -> None:
        """An error that comes in place of a record."""
        error = message.error()
        assert error is not None  # noqa: S101 - the caller looked
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._gone[Partition(str(message.topic()), message.partition() or 0)] = error
        elif error.code() == KafkaError._MAX_POLL_EXCEEDED:
            LOG.warning("the group dropped this worker, which was silent for too long; it joins again")
        elif error.code() in TRANSIENT | REBALANCING:
            LOG.info("%s, which mends itself", self._connection.hide(error.str()))
        else:
            raise self._connection.error(error, f"reading {', '.join(self._topics)}")

    def _read_on(self) -> None:
        """Where the position in a partition is gone, choose another, once all that was read before is handed over.

        What is handed over with it would be committed past, and so overwrite what was chosen.
        """
        for where, error in list(self._gone.items()):
            if not any((record.topic, record.partition) == where for record in self._gathered):
                del self._gone[where]
                self._out_of_range(TopicPartition(where.topic, where.number), error)

    def _out_of_range(self, position: TopicPartition, error: KafkaError) -> None:
        """The group's offset is not on the topic (retention passed it, or the topic was made anew): choose aloud."""
        where = Partition(position.topic, position.partition)
        if where not in self._owned:
            return
        if self._reset is OffsetReset.STOP:
            raise OffsetsMissingError(
                f"The group's position in {where} is not on the topic any more: {self._connection.hide(error.str())}. "
                "Retention may have passed it. Set KUAIXUN_AUTO_OFFSET_RESET to earliest or latest to read on."
            )
        LOG.warning("position in %s is not on the topic any more, reading on from the %s record", where, self._reset)
        try:
            if self._reset is OffsetReset.EARLIEST:
                position.offset = OFFSET_BEGINNING
            else:
                self._begin_at_the_end([position])
            self._membership.read_on_from(self._consumer, position)
        except KafkaException as exception:
            raise self._connection.error(exception.args[0], f"choosing where to read on in {where}") from None

    def _on_assign(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        if self._closing:
            return
        try:
            self._membership.take_over(consumer, self._starting_positions(assigned))
        except KafkaException as exception:
            self._connection.raise_later(self._connection.error(exception.args[0], "taking over partitions"))
        except WorkerError as error:
            self._connection.raise_later(error)
        else:
            self._owned |= _partitions(assigned)
            self._joined = True
            self.rebalances["assigned"] += 1
            taken = named(_partitions(assigned))
            LOG.info("assigned %s", taken or "nothing", extra={"partitions": taken})

    def _starting_positions(self, assigned: list[TopicPartition]) -> list[TopicPartition]:
        """Committed offsets, or what the operator chose where there is none."""
        positions = self._stable_offsets(assigned, self._turn_ends_at)
        unread = []
        for position in positions:
            if position.offset >= 0:
                continue
            if self._reset is OffsetReset.STOP:
                raise OffsetsMissingError(
                    f"The group {self._connection.settings.group_id} has no committed offset for "
                    f"{Partition(position.topic, position.partition)}, and "
                    "KUAIXUN_AUTO_OFFSET_RESET is stop. Set it to earliest or latest to begin."
                )
            if self._reset is OffsetReset.EARLIEST:
                position.offset = OFFSET_BEGINNING
            else:
                unread.append(position)
        self._begin_at_the_end(unread)
        return positions

    def _stable_offsets(self, positions: list[TopicPartition], deadline: float) -> list[TopicPartition]:
        """Committed offsets, once no transaction is open over them: a killed worker's lasts until its timeout.

        Asks again where the group's coordinator has moved or is still reading its log, which the client does not.
        """
        while positions:
            try:
                found = self._consumer.committed(positions, timeout=max(LEAST_SECONDS, deadline - self._monotonic()))
                for position in found:
                    if position.error is not None:
                        raise KafkaException(position.error)
            except KafkaException as exception:
                if exception.args[0].code() not in COORDINATOR_ON_ITS_WAY or self._monotonic() >= deadline:
                    raise
                time.sleep(LEAST_SECONDS)
            else:
                return found
        return []

    def _begin_at_the_end(self, positions: list[TopicPartition]) -> None:
        """Position at the topic's end. Raises KafkaException.

        As a number, which is committed at once: a worker that restarts before its first headline must not skip what
        came meanwhile.
        """
        for position in positions:
            left_seconds = max(LEAST_SECONDS, self._turn_ends_at - self._monotonic())
            _, position.offset = self._consumer.get_watermark_offsets(position, timeout=left_seconds)
        if positions and self._listener is not None:
            self._listener.positioned({Partition(p.topic, p.partition): p.offset for p in positions})

    def _on_revoke(self, _consumer: Consumer, revoked: list[TopicPartition]) -> None:
        self._let_go("revoked", revoked, lambda listener, partitions: listener.revoked(partitions))

    def _on_lost(self, _consumer: Consumer, lost: list[TopicPartition]) -> None:
        self._let_go("lost", lost, lambda listener, partitions: listener.lost(partitions))

    def _let_go(self, event: str, leaving: list[TopicPartition], tell: _Tell) -> None:
        partitions = _partitions(leaving)
        if self._closing or self._listener is None or not partitions:
            return
        self.rebalances[event] += 1
        self._owned -= partitions
        for partition in partitions:
            self._rewinds.pop(partition, None)
            self._gone.pop(partition, None)
        # With nothing to commit no answer comes either, for however long that is.
        self._commit_outage.forget()
        # What comes of them from here on was read anew, even if they are ours again within the same call.
        self._gathered = [r for r in self._gathered if Partition(r.topic, r.partition) not in partitions]
        try:
            tell(self._listener, partitions)
        except WorkerError as error:
            self._connection.raise_later(error)
        else:
            LOG.info("gave up %s", named(partitions), extra={"partitions": named(partitions)})

    def _on_commit(self, error: KafkaError | None, positions: list[TopicPartition]) -> None:
        self._commits_under_way -= 1
        stored = {Partition(p.topic, p.partition): p.offset for p in positions if error is None and p.error is None}
        if stored and self._listener is not None:
            self._listener.committed(stored)
        failed = error or next((p.error for p in positions if p.error is not None), None)
        self._uncommitted = None
        if failed is None or failed.code() == KafkaError._NO_OFFSET:
            self._commit_outage.over()
            return
        if failed.code() in REBALANCING:
            self._commit_outage.over()
            # What is still ours is committed next time, and what is not is labelled again by whoever holds it now.
            LOG.info("offsets not committed during a rebalance (%s)", failed.name())
            return
        found = self._uncommitted = self._connection.error(failed, "committing")
        if failed.fatal() or failed.code() in REFUSED | FATAL:
            self._connection.raise_later(found)
        else:
            self._commit_outage.trouble(found)


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
            found = self._stable_offsets([TopicPartition(p.topic, p.number) for p in partitions], deadline)
        except KafkaException as exception:
            raise self._connection.error(exception.args[0], "asking for committed offsets") from None
        return {Partition(p.topic, p.partition): Mark(p.offset, p.metadata or "") for p in found if p.offset >= 0}

    def read(self, starts: Mapping[Partition, int]) -> None:
        """Read these partitions from these offsets on, and no others."""
        self._owned = frozenset(starts)
        try:
            self._consumer.assign([TopicPartition(p.topic, p.number, offset) for p, offset in starts.items()])
        except KafkaException as exception:
            raise self._connection.error(exception.args[0], f"reading {named(starts)}") from None

    def _on_event(self, message: Message) -> None:
        error = message.error()
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            self.reached[Partition(str(message.topic()), message.partition() or 0)] = message.offset() or 0
        else:
            super()._on_event(message)


class KafkaSink:
    """The producer. See streams.Sink; for `look` see Connection."""

    def __init__(self, settings: WorkerSettings, look: Callable[[], None] = lambda: None) -> None:
        properties = settings.producer_properties()
        self._connection = Connection(settings, properties, look=look)
        self._topic = settings.output_topic
        self._delivered = False  # since it was last noted
        self._config: dict[str, Any] = {
            **PRODUCER_DEFAULTS,
            **properties,
            "bootstrap.servers": settings.bootstrap_servers,
            "enable.idempotence": True,
            "message.timeout.ms": round(settings.outage_seconds * 1000),
            "partitioner": "murmur2_random",
            **self._connection.callbacks(),
            **self._of_the_guarantee(settings),
        }
        self._producer = self._new_producer()
        self._limit_bytes = int(self._config["message.max.bytes"])

    def _of_the_guarantee(self, settings: WorkerSettings) -> dict[str, Any]:
        """What a guarantee adds to the producer's properties."""
        return {}

    def _new_producer(self) -> Producer:
        try:
            return Producer(self._config, logger=CLIENT_LOG)
        except KafkaException as exception:
            raise self._connection.error(exception.args[0], "configuring the producer") from None

    def partition_count(self, topic: str) -> int:
        """How many partitions a topic has. Ask the source first, for this may create a topic that is missing."""
        return self._connection.partition_count(self._producer, topic)

    @property
    def outage_seconds(self) -> float:
        """How long the brokers have not answered the producer by now, 0 while they do. For any thread."""
        return self._connection.outage.seconds

    def send(self, message: Outgoing, report: Report) -> None:
        """See streams.Sink."""
        try:
            self._producer.produce(
                message.topic,
                message.value,
                message.key,
                _BY_KEY if message.partition is None else message.partition,
                partial(self._on_delivery, message.topic, report),
                None,
                _NOW if message.timestamp_ms is None else message.timestamp_ms or _LEAST_TIMESTAMP_MS,
                [*message.headers],
            )
        except BufferError:
            raise QueueFullError from None
        except KafkaException as exception:
            failure = self._failure(exception.args[0], message.topic)
            if isinstance(failure, TooLargeError):
                failure.limit_bytes = self._limit_bytes
            raise failure from None

    def send_all(self, messages: Iterable[Outgoing], receipts: Receipts) -> None:
        """See streams.Sink."""
        produce, on_receipt, index = self._producer.produce, self._on_receipt, receipts.queued
        try:
            for message in messages:
                timestamp_ms, partition = message.timestamp_ms, message.partition
                # By position: names would cost as much again.
                produce(
                    message.topic,
                    message.value,
                    message.key,
                    _BY_KEY if partition is None else partition,
                    partial(on_receipt, receipts, index),
                    None,  # the same under its other name
                    _NOW if timestamp_ms is None else timestamp_ms or _LEAST_TIMESTAMP_MS,
                    [*message.headers] if message.headers else None,
                )
                index += 1
        except (BufferError, KafkaException):
            pass  # `send` says what it is
        finally:
            receipts.queued = index

    def poll(self, timeout_seconds: float) -> None:
        """See streams.Sink."""
        try:
            self._producer.poll(timeout_seconds)
        except (KafkaException, SystemError) as exception:
            self._connection.raise_written(exception)
        self._note_delivery()
        self._connection.probe(self._producer, self._topic)
        self._connection.raise_noted()

    def close(self, timeout_seconds: float) -> None:
        """See streams.Sink."""
        self._producer.purge()
        try:
            self._producer.flush(timeout_seconds)
        except (KafkaException, SystemError) as exception:  # a producer that has met a fatal error flushes nothing
            LOG.debug("closing the producer: %s", self._connection.hide(error_of(exception).str()))

    def _on_delivery(self, topic: str, report: Report, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self._connection.outage.over()
            report(None)
        else:
            seen(error)
            report(self._failure(error, topic))

    def _on_receipt(self, receipts: Receipts, index: int, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._delivered = True
            receipts.awaited -= 1
        else:
            seen(error)
            receipts.report(index, self._failure(error, str(message.topic())))

    def _note_delivery(self) -> None:
        """What is confirmed ends an outage: noted once for many."""
        if self._delivered:
            self._delivered = False
            self._connection.outage.over()

    def _failure(self, error: KafkaError, topic: str) -> Exception:
        """A message's own fault, or the WorkerError that its loss amounts to."""
        hide = self._connection.hide
        return refusal(error, hide) or undelivered(error, topic, self._connection.settings.bootstrap_servers, hide)


class KafkaTransactionalSink(KafkaSink):
    """The producer in transactions. See streams.TransactionalSink; `renew` comes before all else.

    `transactional_id` is the operator's name for this worker, or one of its own for each start. With the operator's,
    a restart ends at once what it left open; without, that ends by the transaction's timeout. Either way what keeps
    two owners of a partition apart is the group: offsets of a member that was replaced are refused.
    """

    _in_a_call = False

    def _of_the_guarantee(self, settings: WorkerSettings) -> dict[str, Any]:
        self.transactional_id = settings.transactional_id or f"{settings.group_id}-{uuid4()}"
        timeout_ms = round(settings.transaction_timeout_seconds * 1000)
        return {
            "transactional.id": self.transactional_id,
            "transaction.timeout.ms": timeout_ms,
            "message.timeout.ms": timeout_ms,
        }

    def begin(self) -> None:
        """See streams.TransactionalSink."""
        self._until_done(lambda _: self._producer.begin_transaction(), time.monotonic(), "beginning a transaction")

    def flush(self, timeout_seconds: float) -> bool:
        """See streams.TransactionalSink."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                left = self._producer.flush(min(SLICE_SECONDS, max(0.0, deadline - time.monotonic())))
            except (KafkaException, SystemError) as exception:
                self._connection.raise_written(exception)
                left = len(self._producer)
            self._note_delivery()
            self._connection.raise_noted()
            if not left or time.monotonic() >= deadline:
                return not left

    def commit(
        self,
        offsets: Mapping[Partition, int],
        member: bytes,
        timeout_seconds: float,
        notes: Mapping[Partition, str] = NO_NOTES,
    ) -> None:
        """See streams.TransactionalSink."""
        positions = [TopicPartition(p.topic, p.number, offset, notes.get(p, "")) for p, offset in offsets.items()]
        deadline = time.monotonic() + timeout_seconds
        doing = "adding offsets to a transaction"
        add_offsets = partial(self._producer.send_offsets_to_transaction, positions, member)
        try:
            self._until_done(lambda seconds: self._in_time(partial(add_offsets, seconds), deadline), deadline, doing)
        except EndUnknownError as late:
            raise AbortableError(str(late)) from None
        except OverdueError as overdue:
            raise EndUnknownError(f"{doing}: the client did not come back in time") from overdue
        self._until_done(self._producer.commit_transaction, deadline, "committing a transaction")

    def _in_time(self, call: Callable[[], None], deadline: float) -> None:
        """A call that may not come back: the client (2.16) asks for the group's coordinator without end.

        Raises OverdueError, and from then on the producer is of no use.
        """
        try:
            call_in_time(call, max(LEAST_SECONDS, deadline - time.monotonic()))
        except OverdueError:
            self._in_a_call = True
            raise

    def abort(self, timeout_seconds: float) -> None:
        """See streams.TransactionalSink. Raises AccessRefusedError where a missing right has spoilt it."""
        deadline = time.monotonic() + timeout_seconds
        try:
            # Begins nothing in the midst of a transaction: it is the one question that the client answers with what
            # has spoilt this one. Messages only say that they were purged.
            self._producer.begin_transaction()
        except KafkaException as exception:
            if exception.args[0].code() in REFUSED:
                raise self._connection.error(exception.args[0], "writing in a transaction") from None
        try:
            self._until_done(self._producer.abort_transaction, deadline, "aborting a transaction")
        except AbortableError as error:
            raise EndUnknownError(str(error)) from None

    def renew(self, timeout_seconds: float) -> None:
        """See streams.TransactionalSink. Raises BrokerUnreachableError where no coordinator answers in time."""
        deadline = time.monotonic() + timeout_seconds
        self._give_up_the_producer(time.monotonic() + GIVE_UP_SHARE * timeout_seconds)
        self._producer = self._new_producer()
        doing = f"asking for the transactional id {self.transactional_id}"
        try:
            self._until_done(self._producer.init_transactions, deadline, doing)
        except EndUnknownError as late:
            bootstrap = self._connection.settings.bootstrap_servers
            raise BrokerUnreachableError(
                f"No answer while {doing} at {bootstrap} within {timeout_seconds:g} s: {late}. Check the network, the "
                "brokers, and that they have a transaction coordinator (transaction.state.log.replication.factor "
                "brokers at least)."
            ) from None

    def _give_up_the_producer(self, deadline: float) -> None:
        """Make an end of it. Raises FencedError where a newer one has its name, which is to be honoured.

        Not by its `close`, which aborts without end where the brokers are away (confluent-kafka 2.16). What it has
        open is undone by whoever takes its name next, so no more than a part of the time is spent on asking.
        """
        old = self._producer
        if self._in_a_call:
            # It goes when that comes back, if ever: to be destroyed under the call is more than it bears.
            self._in_a_call = False
            return
        old.purge()
        ends = False
        while not ends:
            left_seconds = max(LEAST_SECONDS, min(SLICE_SECONDS, deadline - time.monotonic()))
            error = self._error_of_giving_up(partial(old.abort_transaction, left_seconds))
            ends = error is None or not error.retriable() or time.monotonic() >= deadline
        self._error_of_giving_up(partial(old.flush, 0.0))  # which serves the reports on what was purged

    def _error_of_giving_up(self, step: Callable[[], object]) -> KafkaError | None:
        """What the old producer says to a step; what is fatal to it alone is no matter to the next one."""
        doing = "giving up a producer"
        try:
            step()
        except (KafkaException, SystemError) as exception:
            error = error_of(exception)
            found = self._connection.error(error, doing)
            if isinstance(found, FencedError):
                raise found from None
            # Whatever else is fatal to it: the next one makes an end of what it has open.
            LOG.debug("%s", found)
            return error
        return None

    def _until_done(self, call: Callable[[float], None], deadline: float, doing: str) -> None:
        """Call once, and again where the client says that it may be, until it is done.

        Raises EndUnknownError once the clock is at the deadline, AbortableError, and WorkerErrors.
        """
        while True:
            self._connection.look()
            try:
                return call(max(LEAST_SECONDS, min(SLICE_SECONDS, deadline - time.monotonic())))
            except (KafkaException, SystemError) as exception:
                error = error_of(exception)
            self._connection.raise_noted()
            said = f"{doing}: {self._connection.hide(error.str())} ({error.name()})"
            if error.fatal() or error.code() in REFUSED | FENCED:
                raise self._connection.error(error, doing)
            if error.txn_requires_abort():
                raise AbortableError(said)
            if not error.retriable():
                raise self._connection.error(error, doing)
            if time.monotonic() >= deadline:
                raise EndUnknownError(said)
            if error.code() != KafkaError._TIMED_OUT:
                time.sleep(LEAST_SECONDS)

    def _failure(self, error: KafkaError, topic: str) -> Exception:
        # Spoilt, or at an end: to abort it then says which, and why.
        if error.code() in (KafkaError._STATE, KafkaError._FATAL):
            return AbortableError(self._connection.hide(error.str()))
        return super()._failure(error, topic)


def _records(messages: Sequence[Message]) -> Iterable[Record]:
    """The records of messages without an error, column by column: a loop over messages would take twice as long."""
    found: list[Any] = []
    unreadable: set[int] = set()
    asking = map(_HEADERS_OF, messages)
    while len(found) < len(messages):
        try:
            found.extend(asking)
        except (UnicodeDecodeError, SystemError):
            # A name that is not UTF-8, which Kafka does not forbid; the client knows names as str alone. It is asked
            # once: the second time it hands over what it could not read as if nothing were wrong.
            unreadable.add(len(found))
            found.append(None)
    headers: list[tuple[Header, ...]] = [tuple(some) if some else () for some in found]
    headers_unreadable = (index in unreadable for index in range(len(found))) if unreadable else repeat(False)
    # The client types what an error may lack as optional.
    columns = cast("tuple[Iterable[Any], ...]", (map(part, messages) for part in _PARTS))
    timestamps = [
        None if kind == TIMESTAMP_NOT_AVAILABLE or timestamp_ms < 0 else timestamp_ms
        for kind, timestamp_ms in map(Message.timestamp, messages)
    ]
    return map(Record, *columns, headers, timestamps, headers_unreadable)


def _partitions(positions: list[TopicPartition]) -> frozenset[Partition]:
    return frozenset(Partition(position.topic, position.partition) for position in positions)
