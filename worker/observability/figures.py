"""All that a worker's metrics are made of, counted by batch: in the loop's own thread but for what models say.

What is counted elsewhere anyway (outcomes, reloads, rebalances, dead letters near their limit) is not counted again: it
is read from there by whoever asks, so that no two figures contradict each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from kuaixun.worker.observability.histogram import Histogram, looked_at
from kuaixun.worker.observability.metric_names import BATCH_RECORDS, END_TO_END, STAGE
from kuaixun.worker.observability.under_way import UnderWay
from kuaixun.worker.observability.watched import ModelFigures
from kuaixun.worker.records import Partition, Record, Records
from kuaixun.worker.witness import Handled, Parts

STAGES = ("read", "label", "send", "confirm")
LAG_EVERY_SECONDS = 1.0


class Figures:
    """What happens in the loop, as numbers. All methods are the loop's to call; anybody may read the rest.

    `model` is told by whatever thread labels.

    `monotonic` is the loop's clock, and `wall` the one of the records' timestamps, both in seconds.
    """

    def __init__(
        self,
        confidence_threshold: float,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.parts: Parts | None = None
        self.outage_seconds: Callable[[], float] = lambda: 0.0
        self.model = ModelFigures(confidence_threshold)
        self.batch_records = Histogram(BATCH_RECORDS.bounds)
        self.stages = {stage: Histogram(STAGE.bounds) for stage in STAGES}
        self.end_to_end = Histogram(END_TO_END.bounds)
        self.lags: Mapping[Partition, int | None] = {}
        self.blocked_seconds = 0.0
        self._monotonic, self._wall = monotonic, wall
        self._under_way: UnderWay[float] = UnderWay()
        self._blocked_since: float | None = None
        self._lag_at = 0.0

    @property
    def lag(self) -> int:
        """Records of all partitions that wait, as far as that is known."""
        return sum(lag for lag in self.lags.values() if lag is not None)

    def begin(self, parts: Parts) -> None:
        """These are the parts of the worker that begins."""
        self.parts = parts

    def handled(self, batch: Handled) -> None:
        """A batch is on its way."""
        if self._blocked_since is None and self.parts is not None and self.parts.delivery.blocked:
            self._blocked_since = batch.sent_at
        self.batch_records.add_one(len(batch.records))
        self.stages["read"].add_one(batch.read_at - batch.began_at)
        self.stages["label"].add_one(batch.labelled_at - batch.read_at)
        self.stages["send"].add_one(batch.sent_at - batch.labelled_at)
        self._under_way.sent(batch.records, batch.sent_at)

    def confirmed(self, records: Sequence[Record]) -> None:
        """A batch is confirmed."""
        sent_at, _ = self._under_way.landed(records)
        if sent_at is not None:
            self.stages["confirm"].add_one(self._monotonic() - sent_at)
        some = Records.of(records).timestamps_ms[looked_at(len(records), self.end_to_end.batches)]
        sent_ms = np.array(some, np.float64)  # (k,), NaN where there is none
        seconds = self._wall() - sent_ms / 1000  # (k,)
        has_time = ~np.isnan(seconds)  # (k,)
        # Clocks of other machines may be ahead, and what is confirmed before it was sent took no time.
        self.end_to_end.add(
            np.maximum(seconds[has_time], 0.0), round(len(records) * has_time.sum() / max(1, len(some)))
        )

    def turned(self) -> None:
        """The loop has turned."""
        parts, now = self.parts, self._monotonic()
        if parts is None:
            return
        if self._blocked_since is not None:
            self.blocked_seconds += now - self._blocked_since
        self._blocked_since = now if parts.delivery.blocked else None
        if now >= self._lag_at:
            self._lag_at = now + LAG_EVERY_SECONDS
            self.lags = parts.source.lags()
