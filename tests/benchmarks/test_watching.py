"""What being watched takes is a share of what labelling takes, and of no start."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.benchmarks.stream import watching
from tests.benchmarks.stream.watching import FIRST, Spent, count_time


def test_what_comes_before_the_first_batch_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=100.0)
    clock.process_time = clock.thread_time = lambda: clock.now
    monkeypatch.setattr(watching, "time", clock)

    class Worker:
        def turned(self, seconds: float) -> None:
            clock.now += seconds

        def handled(self, seconds: float) -> None:
            clock.now += seconds

    spent, worker = Spent(), Worker()
    for name in ("turned", FIRST):
        count_time(spent, Worker, name)
    worker.turned(3.0)
    assert spent.said() == {}
    worker.handled(0.5)
    clock.now += 7.0
    worker.turned(2.0)
    assert spent.said() == pytest.approx({FIRST: 0.5, "turned": 2.0, "all": 9.5})
