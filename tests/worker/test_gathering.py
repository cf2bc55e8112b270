"""A headline waits for no batch under light load; batches grow with it, and end where they would miss the target."""

from __future__ import annotations

from kuaixun.worker.delivery.promise import Pace
from kuaixun.worker.gathering import Gathering

PACE = Pace(
    max_batch=1000,
    max_delay_seconds=0.02,
    max_in_flight=8,
    commit_interval_seconds=1,
    revoke_budget_seconds=1,
    latency_target_seconds=0.1,
)


def after(*turns: tuple[int, float]) -> Gathering:
    gathering = Gathering(PACE)
    for records, seconds in turns:
        gathering.took(records, seconds)
    return gathering


def test_before_anything_is_known_nothing_is_waited_for() -> None:
    assert (after().max_records, after().max_delay_seconds) == (1000, 0)


def test_waiting_takes_no_longer_than_the_last_turn_and_than_the_setting() -> None:
    assert after((1, 0.0001)).max_delay_seconds == 0.0001
    assert after((1, 0.0001), (1000, 0.5)).max_delay_seconds == 0.02


def test_a_fast_engine_gets_the_largest_batch() -> None:
    assert after((1000, 0.004)).max_records == 1000


def test_a_slow_engine_gets_what_it_can_label_within_the_target() -> None:
    assert after((1000, 1.0)).max_records == 100
    assert after((10, 30.0)).max_records == 1


def test_a_first_turn_that_took_long_is_forgotten() -> None:
    assert after((1, 0.05)).max_records == 2
    assert after((1, 0.05), *[(100, 0.001)] * 40).max_records == 1000
