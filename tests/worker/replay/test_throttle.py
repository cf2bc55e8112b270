"""A replay keeps to the rate asked for, and a stop does not wait for it."""

from __future__ import annotations

from kuaixun.worker.replay.throttle import Throttle
from kuaixun.worker.stop import Stop


class Clock:
    """Passes when somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def test_letters_go_no_faster_than_asked_for() -> None:
    clock = Clock()
    throttle = Throttle(10.0, Stop(1.0, clock), clock, clock.sleep)
    assert throttle.at_once(1024) == 10
    for _ in range(5):
        throttle.wait(10)
    assert round(clock.seconds, 6) == 4.0


def test_less_than_a_letter_a_second_goes_one_by_one() -> None:
    clock = Clock()
    throttle = Throttle(0.5, Stop(1.0, clock), clock, clock.sleep)
    assert throttle.at_once(1024) == 1
    throttle.wait(1)
    throttle.wait(1)
    assert round(clock.seconds, 6) == 2.0


def test_a_stop_is_not_kept_waiting() -> None:
    clock = Clock()
    stop = Stop(1.0, clock)
    throttle = Throttle(0.001, stop, clock, clock.sleep)
    throttle.wait(1)
    stop.request()
    throttle.wait(1)
    assert clock.seconds == 0.0


def test_without_a_rate_nothing_waits() -> None:
    clock = Clock()
    throttle = Throttle(None, Stop(1.0, clock), clock, clock.sleep)
    assert throttle.at_once(1024) == 1024
    throttle.wait(10**9)
    assert clock.seconds == 0.0
