"""When messages arrived, partition by partition, and the longest that nothing did."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise


class Arrivals:
    """Times on the machine's monotonic clock, in seconds. One thread adds, another asks."""

    def __init__(self) -> None:
        self._times: dict[int, list[float]] = defaultdict(list)

    def add(self, at_seconds: float, partition: int) -> None:
        """One message."""
        self._times[partition].append(at_seconds)

    def count(self) -> int:
        """How many there were."""
        return sum(map(len, list(self._times.values())))

    def resumed(self, since: float, partitions: int) -> bool:
        """Whether there were messages of so many partitions after a moment."""
        return sum(times[-1] > since for times in list(self._times.values())) == partitions

    def longest_gap_seconds(self, begin: float, end: float) -> float:
        """Of all partitions the longest time without a message of it, the ends of the time in question included."""
        return max(
            later - earlier
            for times in list(self._times.values())
            for earlier, later in pairwise([begin, *sorted(at for at in list(times) if begin < at < end), end])
        )
