"""Both ends of the worker's topics: what is sent, and what any consumer would read."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, Producer, TopicPartition

from kuaixun.schemas.dead_letter import DeadLetter, Header
from kuaixun.schemas.events import Origin
from tests.chaos.account import LABELLED, Account, Output
from tests.chaos.inputs import TOMBSTONE, Inputs, key, offset, partition

RAW, EVENTS, DEAD_LETTERS = "news.raw", "news.labelled", "news.dead_letter"
NUMBER = "number"  # the header that says which input a record is, or came of
STRANGER = -1
BATCH = 1000
QUIET_SECONDS = 2.0
# Outages are the subject: librdkafka need not print each refused connection.
_SILENT = {"log_level": 0}


class InputRefusedError(Exception):
    """The broker did not take an input, so that no account can be given of it."""


class _Event(msgspec.Struct):
    id: str
    title: str
    label: str
    model: str
    origin: Origin


class Inlet:
    """Sends inputs in the order of their numbers, each confirmed exactly once whatever happens to the broker."""

    def __init__(self, bootstrap: str, inputs: Inputs) -> None:
        self._inputs = inputs
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, **_SILENT},
        )
        self._refused: list[str] = []

    def send(self, number: int) -> bool:
        """Queue one input; False where the broker has been away for so long that the queue is full."""
        try:
            self._producer.produce(
                RAW,
                self._inputs[number].value,
                key(number),
                partition(number),
                on_delivery=self._delivered,
                headers=[(NUMBER, b"%d" % number)],
            )
        except BufferError:
            return False
        finally:
            self._producer.poll(0)
        return True

    def finish(self) -> None:
        """Block until all are confirmed. Raises InputRefusedError."""
        if self._producer.flush(60) or self._refused:
            raise InputRefusedError(f"inputs without confirmation: {self._refused[:3]}, {len(self._producer)} in queue")

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._refused.append(f"{message.key()!r}: {error}")


class Outlet:
    """Reads committed events and dead letters into the account. `now` is the run's clock in seconds."""

    def __init__(self, bootstrap: str, inputs: Inputs, account: Account, now: Callable[[], float]) -> None:
        self._inputs, self._account, self._now = inputs, account, now
        self._at_end: set[tuple[str, int]] = set()
        self._next_offsets: dict[tuple[str, int], int] = {}
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "account",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                **_SILENT,
            }
        )
        known = self._consumer.list_topics(timeout=10).topics
        self._consumer.assign(
            [
                TopicPartition(topic, number, OFFSET_BEGINNING)
                for topic in (EVENTS, DEAD_LETTERS)
                for number in known[topic].partitions
            ]
        )

    def read(self, timeout_seconds: float = 0.001) -> int:
        """Read what there is, waiting so long for it; the number of outputs read."""
        count = 0
        for message in self._consumer.consume(BATCH, timeout_seconds):
            error, place = message.error(), (str(message.topic()), message.partition() or 0)
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                self._at_end.add(place)
            elif error is None:
                self._at_end.discard(place)
                # What the reader itself is given again, as after a restart of the broker, stands there once.
                if (offset := message.offset() or 0) < self._next_offsets.get(place, 0):
                    continue
                self._next_offsets[place] = offset + 1
                self._account.receive(output_of(message, self._inputs), self._now())
                count += 1
        return count

    def read_to_the_end(self) -> None:
        """Read until all partitions are at their end and nothing has come for a while."""
        quiet_since = self._now()
        while len(self._at_end) < len(self._consumer.assignment()) or self._now() - quiet_since < QUIET_SECONDS:
            if self.read(0.2):
                quiet_since = self._now()

    def close(self) -> None:
        """Leave."""
        self._consumer.close()


def output_of(message: Message, inputs: Inputs) -> Output:
    """What a record is; its outcome tells where it is not all that its input was."""
    topic, headers, value = str(message.topic()), _headers(message), message.value()
    number = int(dict(headers).get(NUMBER) or STRANGER)
    where = (topic, message.partition() or 0)
    if number < 0 or message.key() != key(number):
        return Output(STRANGER, f"key {message.key()!r}, number {number}", *where)
    if topic == DEAD_LETTERS:
        letter = DeadLetter.from_record(message.key(), value, headers)
        return Output(number, letter.reason if _keeps(letter, number, inputs) else f"not the input: {letter}", *where)
    if value is None:
        return Output(number, TOMBSTONE, *where)
    event = msgspec.json.decode(value, type=_Event)
    itself = (event.id, event.title, event.origin) == (f"n{number}", inputs[number].title, _origin(number))
    return Output(number, LABELLED if itself else f"not the input: {event}", *where, event.model, event.label)


def _keeps(letter: DeadLetter, number: int, inputs: Inputs) -> bool:
    """Whether a dead letter has all of its input, and says where that stands."""
    origin = Origin(topic=letter.topic, partition=letter.partition, offset=letter.offset)
    own = (inputs[number].value, ((NUMBER, b"%d" % number),), _origin(number))
    return letter.whole and (letter.value, letter.headers, origin) == own


def _origin(number: int) -> Origin:
    return Origin(topic=RAW, partition=partition(number), offset=offset(number))


def _headers(message: Message) -> list[Header]:
    """The client types headers as what may be produced; what is consumed is always a list of names and bytes."""
    return cast("list[Header]", message.headers() or [])
