"""Throughput exactly once as a share of at least once: the same backlog, workers of both in turn.

What must hold: a median of at least 0.9 at the default interval of transactions.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from kuaixun.worker.delivery.promise import Guarantee
from tests.benchmarks.stream.contenders import CONTENDERS
from tests.benchmarks.stream.drain import Backlog, drain, warm_up

WORKER = CONTENDERS["native"]
ROUNDS = 5
BROKER_WARM_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Round:
    """Messages a second of both, measured one right after the other, and their ratio; processor time of the workers.

    That time says less of a busy machine, and more of the worker.
    """

    at_least_once: float
    exactly_once: float
    share: float
    at_least_once_microseconds: float
    exactly_once_microseconds: float


def measure(bootstrap: str, messages: int, rounds: int = ROUNDS) -> list[Round]:
    """Rounds in which either goes first in turn, on a broker that is warm by then. Raises what `drain` raises."""
    with Backlog.written(bootstrap, messages, None) as backlog:
        warm_up(WORKER, backlog, list(Guarantee), BROKER_WARM_SECONDS)
        return [_round(backlog, number) for number in range(rounds)]


def _round(backlog: Backlog, number: int) -> Round:
    order = list(Guarantee) if number % 2 else list(reversed(Guarantee))
    drained = {delivery: drain(WORKER, backlog, delivery, 1) for delivery in order}
    once, least = drained[Guarantee.EXACTLY_ONCE], drained[Guarantee.AT_LEAST_ONCE]
    return Round(
        at_least_once=round(least.messages_per_second),
        exactly_once=round(once.messages_per_second),
        share=round(once.messages_per_second / least.messages_per_second, 3),
        at_least_once_microseconds=round(least.processor_microseconds, 2),
        exactly_once_microseconds=round(once.processor_microseconds, 2),
    )


def median_share(rounds: list[Round]) -> float:
    """Of the rounds' ratios."""
    return statistics.median(one.share for one in rounds)
