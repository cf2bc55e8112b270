"""The last minutes of the page: differences between samples, a second apart."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from kuaixun.worker.observability.figures import Figures
from kuaixun.worker.observability.histogram import quantile
from kuaixun.worker.page.history import SECONDS, SECONDS_OF_NOW, Seconds
from kuaixun.worker.records import Partition
from kuaixun.worker.witness import Parts
from tests.worker.fake_classifier import LABELS, FakeClassifier


class Stream:
    """Figures that a loop would make, on a clock that the test turns."""

    def __init__(self) -> None:
        self.now = 0.0
        self.figures = Figures(0.0)
        self.dead: int = 0
        self.counts = SimpleNamespace(labelled=0, tombstones=0, dead_lettered=SimpleNamespace(total=lambda: self.dead))

        self.figures.parts = cast("Parts", SimpleNamespace(delivery=SimpleNamespace(counts=self.counts)))
        self.model = self.figures.model.take_up(FakeClassifier(), lambda look: look())
        self.seconds = Seconds(self.figures, monotonic=lambda: self.now, wall=lambda: 1000.0 + self.now)

    def label(self, titles: list[str], latency_seconds: float) -> None:
        self.model.classify(titles)
        self.counts.labelled += len(titles)
        self.figures.end_to_end.add(np.full(len(titles), latency_seconds))

    def turn(self, seconds: float) -> None:
        self.now += seconds
        self.seconds.turned()


def test_a_second_is_what_went_by_between_two_samples() -> None:
    stream = Stream()
    stream.turn(0.0)
    stream.label([f"新闻{i}" for i in range(40)], 0.004)
    stream.dead = 10
    stream.figures.lags = {Partition("raw", 0): 7, Partition("raw", 1): None}
    stream.turn(0.4)
    stream.turn(0.7)
    stream.turn(1.0)
    columns = stream.seconds.columns(LABELS)
    assert columns.at == [1001.1, 1002.1]
    assert columns.per_second == [pytest.approx(50 / 1.1, abs=0.01), 0.0]
    assert [sum(second) for second in zip(*columns.by_label, strict=True)] == [pytest.approx(40 / 1.1, abs=0.05), 0.0]
    assert columns.lag == [7, 7]
    assert columns.p50_ms[0] == pytest.approx(4, abs=2)
    assert (columns.p50_ms[1], columns.p99_ms[1]) == (None, None), "a quiet second has no latency"


def test_now_is_the_last_seconds_taken_together_for_the_rate_and_the_latency_alike() -> None:
    stream = Stream()
    assert (stream.seconds.now().per_second, stream.seconds.now().p50_ms) == (0.0, None)
    stream.turn(0.0)
    stream.label(["新闻"] * 70, 8.0)  # gone by before the last seconds
    stream.turn(1.0)
    stream.label(["新闻"] * 90, 0.004)
    stream.turn(1.0)
    stream.label(["新闻"] * 10, 2.0)
    for _ in range(SECONDS_OF_NOW - 1):
        stream.turn(1.0)
    now = stream.seconds.now()
    assert now.per_second == 100 / SECONDS_OF_NOW
    assert now.p50_ms == pytest.approx(4, abs=2), "and not that of the latest headlines alone"
    assert now.p99_ms == pytest.approx(2000, rel=0.5)
    for _ in range(SECONDS_OF_NOW):
        stream.turn(1.0)
    assert (stream.seconds.now().per_second, stream.seconds.now().p99_ms) == (0.0, None)


def test_only_the_last_minutes_are_kept_and_a_clock_set_back_makes_no_rate() -> None:
    stream = Stream()
    for _ in range(SECONDS + 20):
        stream.label(["新闻"], 0.001)
        stream.turn(1.0)
    columns = stream.seconds.columns(LABELS)
    assert len(columns.at) == len(columns.by_label[0]) == SECONDS
    assert columns.at[-1] == 1000.0 + SECONDS + 20
    stream.seconds._wall = lambda: 0.0
    stream.turn(1.0)
    assert stream.seconds.columns(LABELS).per_second[-1] == 0.0


def test_a_quantile_lies_on_the_line_through_its_bucket() -> None:
    bounds = np.array([1.0, 10.0])
    assert quantile(bounds, np.array([10.0, 10.0, 0.0]), 0.75) == 5.5
    assert quantile(bounds, np.array([10.0, 0.0, 0.0]), 0.5) == 0.5
    assert quantile(bounds, np.array([0.0, 0.0, 3.0]), 0.5) == 10.0, "the last bucket has no end"
    assert quantile(bounds, np.array([0.0, 0.0, 0.0]), 0.5) is None
