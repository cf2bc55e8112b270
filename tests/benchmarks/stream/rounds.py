"""Contenders in rounds, in turn: each figure is a median, and each share is of the yardstick's in the same round."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kuaixun.worker.delivery.promise import Guarantee
from tests.benchmarks.stream.contenders import CONTENDERS, PASSTHROUGH, Contender
from tests.benchmarks.stream.drain import Backlog, Drained, drain, warm_up
from tests.benchmarks.stream.progress import DrainError


@dataclass(frozen=True, slots=True)
class Case:
    """A contender, what it promises, and by how many processes."""

    contender: Contender
    delivery: Guarantee
    processes: int

    def of(self, contender: str) -> Case:
        """The same of another contender."""
        return Case(CONTENDERS[contender], self.delivery, self.processes)


@dataclass(frozen=True, slots=True)
class Throughput:
    """A case's medians; `share_of_passthrough` is the median of the rounds' shares, which lie within `shares`.

    `shares_beside` and `processor_time_beside` are by round too, and to the contender that it is measured `beside`:
    empty where that is not one of this run's.
    """

    contender: str
    delivery: str
    processes: int
    messages_per_second: float
    share_of_passthrough: float
    shares: list[float]
    beside: str
    shares_beside: list[float]
    processor_time_beside: list[float]
    processor_microseconds: float
    peak_megabytes: float


def alone_at_least_once(rows: Sequence[Throughput]) -> dict[str, Throughput]:
    """What is held against what is aimed at: the rows of one process, at least once, by contender."""
    return {row.contender: row for row in rows if (row.delivery, row.processes) == (Guarantee.AT_LEAST_ONCE, 1)}


def cases(contenders: Sequence[str], deliveries: Sequence[Guarantee], processes: Sequence[int]) -> list[Case]:
    """Every case there is of these, the yardstick first of its kind."""
    return [
        Case(CONTENDERS[name], delivery, number)
        for delivery in deliveries
        for number in processes
        for name in dict.fromkeys((PASSTHROUGH, *contenders))
        if CONTENDERS[name].exactly_once or delivery is Guarantee.AT_LEAST_ONCE
        if CONTENDERS[name].shares or number == 1
    ]


def measure(
    backlog: Backlog, wanted: Sequence[Case], rounds: int, warm_seconds: float = 0.0
) -> Iterator[tuple[int, Case, Drained | DrainError]]:
    """Rounds over all cases, every other one backwards, after `warm_up` for so long with the first contender.

    Who has no figure is told of and left out of that round, but for the yardstick: without it there is no share.
    """
    warm_up(wanted[0].contender, backlog, list(dict.fromkeys(case.delivery for case in wanted)), warm_seconds)
    for number in range(rounds):
        for case in wanted if number % 2 == 0 else reversed(wanted):
            try:
                drained = drain(case.contender, backlog, case.delivery, case.processes)
            except DrainError as error:
                if case.contender.name == PASSTHROUGH:
                    raise
                yield number, case, error
            else:
                yield number, case, drained


def summed_up(found: Sequence[tuple[int, Case, Drained]]) -> list[Throughput]:
    """One row a case, in the order of the first round."""
    by_round = {(number, case): drained for number, case, drained in found}
    by_case: dict[Case, list[Drained]] = defaultdict(list)
    pairs: dict[tuple[Case, str], list[tuple[Drained, Drained]]] = defaultdict(list)
    for (number, case), drained in by_round.items():
        by_case[case].append(drained)
        for name in {PASSTHROUGH, case.contender.beside}:
            if (other := by_round.get((number, case.of(name)))) is not None:
                pairs[case, name].append((drained, other))

    def shares(case: Case, name: str) -> list[float]:
        return [round(one.messages_per_second / other.messages_per_second, 4) for one, other in pairs[case, name]]

    return [
        Throughput(
            contender=case.contender.name,
            delivery=case.delivery,
            processes=case.processes,
            messages_per_second=round(statistics.median(one.messages_per_second for one in drains)),
            share_of_passthrough=round(statistics.median(shares(case, PASSTHROUGH)), 4),
            shares=shares(case, PASSTHROUGH),
            beside=case.contender.beside,
            shares_beside=shares(case, case.contender.beside),
            processor_time_beside=[
                round(one.processor_microseconds / other.processor_microseconds, 3)
                for one, other in pairs[case, case.contender.beside]
            ],
            processor_microseconds=round(statistics.median(one.processor_microseconds for one in drains), 2),
            peak_megabytes=round(statistics.median(one.peak_megabytes for one in drains), 1),
        )
        for case, drains in by_case.items()
        if pairs[case, PASSTHROUGH]  # else it was interrupted before the yardstick's turn
    ]
