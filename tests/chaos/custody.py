"""Who holds which partition and how far each is committed, as the group's coordinator says, asked again and again."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, ConsumerGroupState, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.chaos.inputs import PARTITIONS
from tests.chaos.topics import RAW

ASK_EVERY_SECONDS, ANSWER_SECONDS = 0.25, 2.0
STALE_SECONDS = 3.0
REMEMBERED = 40


@dataclass(frozen=True, slots=True)
class View:
    """One answer. `holders` are members' client ids by partition; what is not committed at all has offset 0."""

    at_seconds: float
    stable: bool
    members: tuple[str, ...]
    holders: Mapping[int, str]
    committed: Mapping[int, int]

    def settled(self, members: Collection[str]) -> bool:
        """Whether these and nobody else are in the group, and hold all of it between them."""
        return self.stable and sorted(self.members) == sorted(members) and len(self.holders) == PARTITIONS


NOTHING = View(float("-inf"), False, (), {}, dict.fromkeys(range(PARTITIONS), 0))


class Custody:
    """The views of the last seconds, asked for in a thread of its own. `now` is the run's clock in seconds.

    What was committed when a view was taken is committed from then on, so that the latest view names the least.
    """

    def __init__(self, bootstrap: str, group: str, now: Callable[[], float]) -> None:
        self._bootstrap = bootstrap
        self._group, self._now = group, now
        self._views = deque([NOTHING], REMEMBERED)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask_on, name="custody", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    @property
    def latest(self) -> View:
        """The latest view, which may be old where the broker is away."""
        return self._views[-1]

    def settled(self, members: Collection[str]) -> bool:
        """Whether the group is so now; see View."""
        return self._now() - self.latest.at_seconds < STALE_SECONDS and self.latest.settled(members)

    def held(self, member: str, since_seconds: float) -> frozenset[int]:
        """The partitions that a member has held at any time since then, and all where the group was not settled then.

        The latest view counts whatever its age, for whoever held a partition then may have written since.
        """
        views = list(self._views)
        recent = [view for view in views[:-1] if view.at_seconds >= since_seconds] + views[-1:]
        if not all(view.stable for view in recent):
            return frozenset(range(PARTITIONS))
        return frozenset(number for view in recent for number, holder in view.holders.items() if holder == member)

    def _ask_on(self) -> None:
        """Ask until it is over; with clients made anew after each failure, for old ones may not find the way back."""
        while not self._over.is_set():
            with suppress(KafkaException, TimeoutError), self._reader() as reader:
                admin = AdminClient({"bootstrap.servers": self._bootstrap, "log_level": 0})
                while not self._over.wait(ASK_EVERY_SECONDS):
                    self._views.append(self._ask(admin, reader))
            self._over.wait(ASK_EVERY_SECONDS)

    @contextmanager
    def _reader(self) -> Iterator[Consumer]:
        """Reads the group's offsets and never joins. The admin client's own call for them ends the process (2.16.1)."""
        reader = Consumer({"bootstrap.servers": self._bootstrap, "group.id": self._group, "log_level": 0})
        try:
            yield reader
        finally:
            reader.close()

    def _ask(self, admin: AdminClient, reader: Consumer) -> View:
        places = [TopicPartition(RAW, number) for number in range(PARTITIONS)]
        committed = reader.committed(places, timeout=ANSWER_SECONDS)
        described = admin.describe_consumer_groups([self._group], request_timeout=ANSWER_SECONDS)
        group = described[self._group].result(2 * ANSWER_SECONDS)
        return View(
            at_seconds=self._now(),
            stable=group.state is ConsumerGroupState.STABLE,
            members=tuple(member.client_id for member in group.members),
            holders={
                place.partition: member.client_id
                for member in group.members
                for place in member.assignment.topic_partitions
            },
            committed={place.partition: max(place.offset, 0) for place in committed},
        )
