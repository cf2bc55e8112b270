"""What the page says of dead letters: nothing of the first few, and always by the limit that is near or reached."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from kuaixun.worker.dead_letter_limit import LEAST_RECORDS, DeadLetterLimit, Limits
from kuaixun.worker.page.troubles import troubles
from kuaixun.worker.reload import Reloads
from kuaixun.worker.stop import Stop
from kuaixun.worker.witness import Parts
from tests.worker.test_dead_letter_limit import outcomes


def said_after(limits: Limits, batches: Sequence[str]) -> list[tuple[str, float, int]]:
    """The kind, the figure and the run of each trouble; see `outcomes` for the batches."""
    limit = DeadLetterLimit(limits, Stop(5.0))
    for pattern in batches:
        limit([], outcomes(pattern))
    parts = cast("Parts", SimpleNamespace(limit=limit, reloads=Reloads()))
    return [(trouble.kind, trouble.figure, trouble.in_a_row) for trouble in troubles(0.0, parts)]


@pytest.mark.parametrize(
    ("window", "batches", "said"),
    [
        (10_000, ["x"], []),
        (10_000, ["x" * 100, "." * (LEAST_RECORDS - 101)], []),
        (10_000, ["x" * 100, "." * (LEAST_RECORDS - 100)], [("manyDeadLetters", 0.1, 0)]),
        (10_000, ["x" * 10, "." * (LEAST_RECORDS - 10)], []),
        (50, ["x" * 5 + "." * 44], []),
        (50, ["x" * 5, "." * 45], [("manyDeadLetters", 0.1, 0)]),
    ],
)
def test_a_share_is_spoken_of_once_there_are_enough_to_take_it_of(
    window: int, batches: list[str], said: list[tuple[str, float, int]]
) -> None:
    assert said_after(Limits(0.5, window, 900), batches) == said


def test_brokers_that_are_away_are_told_before_the_worker_is_put_together() -> None:
    assert [(one.kind, one.figure) for one in troubles(12.34, None)] == [("brokersAway", 12.3)]
    assert troubles(0.0, None) == []


@pytest.mark.parametrize(
    ("batches", "said"),
    [
        (["." * 83, "x" * 17], ("limitNear", 0.17, 17)),
        (["." * 55, "x.x" * 15], ("limitNear", 0.3, 0)),
        (["." * 80, "x" * 20, "." * 100], ("limitReached", 0.0, 20)),
        (["..", "x.x" * 33], ("limitReached", 66 / 101, 0)),
    ],
)
def test_the_limit_that_is_near_or_reached_gives_its_own_figure(
    batches: list[str], said: tuple[str, float, int]
) -> None:
    assert said_after(Limits(0.35, 100, 20), batches) == [said]
