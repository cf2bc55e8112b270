"""Probes are answered by what the loop does."""

from __future__ import annotations

from kuaixun.worker.observability.health import Health
from tests.worker.test_loop import Clock


def test_a_worker_is_started_ready_and_alive_in_this_order_and_ends_so() -> None:
    clock, leaving = Clock(100.0), False
    health = Health(60.0, lambda: leaving, monotonic=clock)

    def answers() -> tuple[bool, bool, bool]:
        return health.started().yes, health.ready().yes, health.live().yes

    clock.now += 1000
    assert answers() == (False, False, True), "before the first turn nothing can stand still"
    health.turned(False)
    assert answers() == (False, False, True)
    health.turned(True)
    assert answers() == (True, True, True)
    clock.now += 60.0
    assert answers() == (True, True, True)
    clock.now += 0.1
    assert answers() == (True, False, False)
    assert "stood still for 60 s" in health.live().why
    assert "stood still" in health.ready().why
    health.turned(True)
    assert answers() == (True, True, True)
    health.turned(False)
    assert answers() == (True, False, True), "its group has dropped it"
    health.turned(True)
    assert answers() == (True, True, True)
    leaving = True
    assert answers() == (True, False, True)
