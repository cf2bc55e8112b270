"""Reading headlines and committing what became of them. The first station of the journey, and the last word of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from kuaixun.worker.gathering import ENOUGH
from kuaixun.worker.kafka.client_defaults import CONSUMER_DEFAULTS, with_defaults
from kuaixun.worker.kafka.client_errors import REBALANCING, TRANSIENT
from kuaixun.worker.kafka.client_log import CLIENT_LOG
from kuaixun.worker.kafka.commits import Commits
from kuaixun.worker.kafka.connection import LEAST_SECONDS, Connection
from kuaixun.worker.kafka.member import Member
from kuaixun.worker.kafka.membership import PROPERTIES, Membership
from kuaixun.worker.kafka.plugin import PLUGINS_PROPERTY, with_plugin
from kuaixun.worker.kafka.read_ahead import ReadAhead
from kuaixun.worker.kafka.reading import Event, Reading
from kuaixun.worker.kafka.starts import Starts
from kuaixun.worker.records import Partition, Records, named
from kuaixun.worker.settings import WorkerSettings
from kuaixun.worker.streams import GroupListener

LOG = logging.getLogger(__name__)

STAY_EVERY_SECONDS = 1.0  # the group waits for the slowest member, and calls one that is silent too long lost
# Records that come so long into an outage were fetched in it; those that come sooner may have been at hand.
FETCHED_BEFORE_SECONDS = 10.0


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
        topic = self._topics[0] if len(self._topics) == 1 and not self._topics[0].startswith("^") else None
        self._stay_at = 0.0
        self._ahead = ReadAhead()
        self._commits = Commits(self._connection)
        config: dict[str, Any] = {
            **with_defaults(CONSUMER_DEFAULTS, properties),
            "bootstrap.servers": settings.bootstrap_servers,
            "group.id": settings.group_id,
            # "error", whatever the operator chose: the choice is made here, aloud, and not silently by the client.
            "auto.offset.reset": "error",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "allow.auto.create.topics": False,
            **self._connection.callbacks(),
            "on_commit": self._commits.answered,
            **PROPERTIES[settings.group_protocol],
            **with_plugin(properties.get(PLUGINS_PROPERTY)),
            **self._of_the_reading(),
        }
        try:
            self._consumer = Consumer(config, logger=CLIENT_LOG)
        except KafkaException as exception:
            raise self._connection.error(exception.args[0], "configuring the consumer") from None
        self._reading = Reading(self._consumer, topic, self._connection.on_error)
        self._membership = Membership(settings.group_protocol, self._reading)
        self._starts = Starts(self._connection, self._consumer, self._membership)
        self._member = Member(
            self._connection,
            self._consumer,
            self._membership,
            self._starts,
            forget=self._forget,
            keeps_its_place=bool(properties.get("group.instance.id")),
        )

    def _of_the_reading(self) -> dict[str, Any]:
        """What a way of reading adds to the consumer's properties."""
        return {}

    def partition_count(self, topic: str) -> int:
        """How many partitions a topic has; never creates one. Raises what `Connection.partition_count` raises."""
        return self._connection.partition_count(self._consumer, topic)

    def subscribe(self, listener: GroupListener) -> None:
        """Join the group. Partitions come with a later `batch`."""
        self._starts.listener = self._commits.listener = listener
        self._member.join(self._topics, listener)

    @property
    def by_batch(self) -> bool:
        """Whether the client hands over a batch in one call."""
        return self._reading.by_batch

    @property
    def joined(self) -> bool:
        """See streams.Source."""
        return self._member.joined

    @property
    def rebalances(self) -> Mapping[str, int]:
        """How often partitions were assigned, revoked and lost. For any thread."""
        return self._member.rebalances

    @property
    def outage_seconds(self) -> float:
        """How long the brokers have not answered the consumer by now, 0 while they do. For any thread."""
        return max(self._connection.outage.seconds, self._commits.outage.seconds)

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

    def batch(self, max_records: int, max_delay_seconds: float, idle_seconds: float) -> Records:
        """See streams.Source."""
        self._begin_turn()
        ahead = self._ahead
        if not ahead.is_shown:
            # Message by message all are waited for, or the whole timeout; so the first record is waited for alone.
            self._consume(1, 0.0 if len(ahead) else idle_seconds)
            if 0 < len(ahead) < 2 * max_records:
                self._consume(2 * max_records - len(ahead), 0.0)
            enough, deadline = min(max_records, ENOUGH), self._monotonic() + max_delay_seconds
            while 0 < len(ahead) < enough and self._monotonic() < deadline:
                self._consume(enough - len(ahead), max(0.0, deadline - self._monotonic()))
        else:
            self._consume(max(1, max_records - ahead.rest), 0.0)
        self._connection.probe(self._consumer, self._topics[0])
        return ahead.take(max_records)

    def upcoming(self, max_records: int) -> Records:
        """See streams.Source."""
        return self._ahead.show(max_records)

    def stay(self, max_records: int) -> None:
        """See streams.Source. Reads a record a second at least: pausing would throw away what is fetched."""
        room, is_due = max_records - len(self._ahead), self._monotonic() >= self._stay_at
        if room <= 0 and not is_due:
            return
        self._begin_turn()
        self._consume(max(1, room), LEAST_SECONDS / 10 if is_due else 0.0)
        self._connection.probe(self._consumer, self._topics[0])
        if is_due:
            self._stay_at = self._monotonic() + STAY_EVERY_SECONDS

    def commit(self, offsets: Mapping[Partition, int], *, last_chance: bool = False) -> None:
        """See streams.Source."""
        if not last_chance:
            self._commits.outage.check()
            if self._commits.under_way:
                return
        self._commits.begin(self._consumer, [TopicPartition(p.topic, p.number, o) for p, o in offsets.items()])

    def rewind(self, offsets: Mapping[Partition, int]) -> None:
        """See streams.Source. Only noted: in a callback nobody knows what the client is about to hand over."""
        owned = self._member.owned
        self._ahead.rewinds |= {partition: offset for partition, offset in offsets.items() if partition in owned}

    def committed(self, partitions: frozenset[Partition], timeout_seconds: float) -> Mapping[Partition, int]:
        """See streams.Source."""
        deadline = self._monotonic() + timeout_seconds
        try:
            found = self._starts.stable_offsets([TopicPartition(p.topic, p.number) for p in partitions], deadline)
        except KafkaException as exception:
            raise self._connection.error(exception.args[0], "asking for committed offsets") from None
        return {Partition(p.topic, p.partition): p.offset for p in found if p.offset >= 0}

    def member(self) -> bytes:
        """See streams.Source."""
        return self._member.name()

    def close(self, timeout_seconds: float) -> bool:
        """See streams.Source. The client finishes commits first, and takes a minute where the brokers are away."""
        self._member.begin_to_leave()
        deadline = self._monotonic() + timeout_seconds / 2
        leaving = threading.Thread(target=self._leave, args=(deadline,), name="leave-group", daemon=True)
        leaving.start()
        leaving.join(timeout_seconds)
        if leaving.is_alive():
            LOG.warning("leaving the group takes too long; its coordinator will notice by the session timeout")
        elif self._commits.failure is not None:
            LOG.warning("the last offsets are not committed: %s", self._commits.failure)
        elif self._commits.under_way:
            LOG.warning("nobody has said whether the last offsets are committed")
        else:
            return True
        return False

    def _leave(self, deadline: float) -> None:
        with suppress(KafkaException, SystemError):
            self._commits.await_last(self._consumer, deadline)
        self._member.leave(deadline)
        self._reading.close()
        self._consumer.close()

    def _begin_turn(self) -> None:
        self._starts.begin_turn()
        self._read_again()
        self._read_on()

    def _consume(self, limit: int, timeout_seconds: float) -> None:
        owned, away_seconds = self._member.owned, self._connection.outage.seconds
        try:
            records, events = self._reading.consume(limit, timeout_seconds)
        except (KafkaException, SystemError) as exception:
            raise self._connection.raised(exception, f"reading {', '.join(self._topics)}") from None
        for event in events:
            self._on_event(event)
        if records and away_seconds > FETCHED_BEFORE_SECONDS:
            self._connection.outage.over()
        self._ahead.add(records)
        if self._member.owned is not owned:
            # What was fetched before a rebalance within this very call may belong to the next owner now.
            self._ahead.keep(self._member.owned)
        self._read_again()
        self._connection.raise_noted()

    def _read_again(self) -> None:
        """Go back to where a rewind asks for, and drop what was read of those partitions before."""
        rewinds = self._ahead.take_rewinds()
        try:
            for partition, offset in rewinds.items():
                position = TopicPartition(partition.topic, partition.number, offset)
                if self._ahead.gone.pop(partition, None) is None:
                    self._reading.begin([partition])
                    self._consumer.seek(position)
                else:
                    self._membership.read_on_from(self._consumer, position)
        except KafkaException as exception:
            raise self._connection.error(exception.args[0], f"reading {named(rewinds)} again") from None

    def _on_event(self, event: Event) -> None:
        """An error that comes in place of a record."""
        error = event.error
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._ahead.gone[event.partition] = error
        elif error.code() == KafkaError._MAX_POLL_EXCEEDED:
            LOG.warning("the group dropped this worker, which was silent for too long; it joins again")
        elif error.code() in TRANSIENT | REBALANCING:
            LOG.info("%s, which mends itself", self._connection.hide(error.str()))
        else:
            raise self._connection.error(error, f"reading {', '.join(self._topics)}")

    def _read_on(self) -> None:
        """Where the position in a partition is gone, choose another."""
        for where, error in self._ahead.take_gone():
            if where in self._member.owned:
                self._starts.begin_anew(where, error)

    def _forget(self, leaving: frozenset[Partition]) -> None:
        """Told of partitions that leave this member."""
        # With nothing to commit no answer comes either, for however long that is.
        self._commits.outage.forget()
        self._reading.end(leaving)
        self._ahead.forget(leaving)
