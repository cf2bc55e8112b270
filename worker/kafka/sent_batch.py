"""A batch that the client has taken, and which of its messages a report is about. Within the last station."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from confluent_kafka import Message

from kuaixun.worker.messages import Outgoing
from kuaixun.worker.streams import Receipts

LOG = logging.getLogger(__name__)

_Looks: TypeAlias = tuple[str | None, bytes | None, bytes | None]


class SentBatch:
    """Messages of which the first is the next that their `receipts` have queued.

    All of them share one callback: one each would cost a tenth of the worker's time. What a report is about is found by
    what its message looks like, and only where something is amiss. The client (2.16) shows neither headers nor time.
    """

    def __init__(self, messages: Iterable[Outgoing], receipts: Receipts) -> None:
        self.receipts = receipts
        self._messages, self._first = messages, receipts.queued
        self._places: defaultdict[_Looks, list[int]] | None = None

    def places_of(self, message: Message) -> Sequence[int]:
        """The place in the receipts of a message that is reported on; of several that look alike, all of theirs.

        Of one that looks like none of them, which should not be, all there are: they are written again, none is lost.
        """
        if self._places is None:
            self._places = defaultdict(list)
            for place, one in enumerate(self._messages, self._first):
                self._places[_looks(one.topic, one.key, one.value)].append(place)
        found = self._places.get(_looks(message.topic(), message.key(), message.value()))
        if found is None:
            LOG.warning("a report on a message of %s that was not sent: its whole batch is", message.topic())
            return [place for places in self._places.values() for place in places]
        return found


def _looks(topic: str | None, key: bytes | None, value: bytes | None) -> _Looks:
    return topic, key or None, value or None
