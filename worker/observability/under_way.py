"""Batches that are sent and not yet confirmed, each with what somebody keeps for the time being: a time, a span."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

from kuaixun.worker.records import Record

MOST = 1000  # far more than may be in flight

Kept = TypeVar("Kept")


class UnderWay(Generic[Kept]):
    """In the order of their sending, each known by its very records."""

    def __init__(self) -> None:
        self._batches: deque[tuple[Sequence[Record], Kept]] = deque(maxlen=MOST)

    def sent(self, records: Sequence[Record], kept: Kept) -> None:
        """A batch is under way."""
        self._batches.append((records, kept))

    def landed(self, records: Sequence[Record]) -> tuple[Kept | None, list[Kept]]:
        """What was kept for a batch that is confirmed, and for those before it, which never will be.

        They were undone, and are sent again as other batches. One that was parted on the way, as at a rebalance or
        where a broker refused a part of it, is not found.
        """
        for place, (sent, _) in enumerate(self._batches):
            if sent is records:
                before = [self._batches.popleft()[1] for _ in range(place)]
                return self._batches.popleft()[1], before
        return None, []

    def rest(self) -> list[Kept]:
        """What was kept for all that are under way still, which are forgotten."""
        rest = [kept for _, kept in self._batches]
        self._batches.clear()
        return rest
