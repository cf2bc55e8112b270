"""Whether a ratio has fallen: `python -m tests.benchmarks.stream.guard FIGURES.json`, as `make bench-guard` runs it.

`ratios.toml` beside this holds what is expected, and by how much a run may fall short of it. Exit code 1: one has, or
something that is expected was not measured in every round: whoever has crashed is not well.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec

from kuaixun.export.command_line import OneLineParser, path_of
from tests.benchmarks.failures import BenchmarkError, finish_measuring
from tests.benchmarks.stream.contenders import PASSTHROUGH

PROGRAM = "python -m tests.benchmarks.stream.guard"
RATIOS = Path(__file__).with_name("ratios.toml")

Tolerance: TypeAlias = Annotated[float, msgspec.Meta(ge=0, lt=1)]


class Row(msgspec.Struct, frozen=True):
    """What is read of a case's figures; see rounds.Throughput. The lists are by round."""

    contender: str
    delivery: str
    processes: int
    share_of_passthrough: float
    shares: list[float]
    processor_microseconds: float
    beside: str
    shares_beside: list[float]
    processor_time_beside: list[float]


class Start(msgspec.Struct, frozen=True):
    """What is read of start.Start."""

    contender: str
    seconds: float


class Figures(msgspec.Struct, frozen=True):
    """What is read of report.Report."""

    rounds: Annotated[int, msgspec.Meta(ge=1)]
    throughput: list[Row]
    starts: list[Start]
    left_out: list[str]


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Throughput, and processor time of the process, each as a ratio to another's in the same run."""

    throughput: float
    processor_time: float


class Ratios(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tolerances are shares of what is expected.

    What is `at_least_once` is to passthrough, by one process, and so are the times of `starts`; what is `beside`, to
    the one that a contender is but for one thing. None of the tables is empty: one that is would hold nothing.
    """

    throughput_tolerance: Tolerance
    processor_time_tolerance: Tolerance
    start_tolerance: Tolerance
    at_least_once: Annotated[dict[str, Expected], msgspec.Meta(min_length=1)]
    beside: Annotated[dict[str, Expected], msgspec.Meta(min_length=1)]
    starts: Annotated[dict[str, float], msgspec.Meta(min_length=1)]


@dataclass(frozen=True, slots=True)
class Held:
    """A ratio of a run, and how far it may fall or rise."""

    what: str
    ratio: float
    limit: float
    is_most: bool

    @property
    def has_fallen(self) -> bool:
        """Whether it is worse than that."""
        return self.ratio > self.limit if self.is_most else self.ratio < self.limit

    @property
    def told(self) -> str:
        """In a line."""
        verdict = "FALLEN" if self.has_fallen else "held"
        return f"{verdict}: {self.what} {self.ratio:.3f}, at {'most' if self.is_most else 'least'} {self.limit:.3f}"


def read_ratios(path: Path = RATIOS) -> Ratios:
    """The committed file. Raises BenchmarkError where it is not of this form."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Ratios)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BenchmarkError(f"{path}: {error}") from None


def read_figures(path: Path) -> Figures:
    """What a run has written. Raises BenchmarkError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Figures)
    except (OSError, msgspec.DecodeError) as error:
        raise BenchmarkError(f"{path}: {error}; `make bench-guard` writes such a file") from None


def held(figures: Figures, ratios: Ratios) -> list[Held]:
    """What there is to hold, of one process, at least once.

    Raises BenchmarkError for what was not measured, in one round or in all.
    """
    if figures.left_out:
        raise BenchmarkError(f"not all was measured: {'; '.join(figures.left_out)}")
    of = {row.contender: row for row in figures.throughput if (row.delivery, row.processes) == ("at-least-once", 1)}
    return [
        *_to_passthrough(of, ratios, figures.rounds),
        *_to_those_beside(of, ratios, figures.rounds),
        *_starts({one.contender: one.seconds for one in figures.starts}, ratios),
    ]


def _to_passthrough(of: dict[str, Row], ratios: Ratios, rounds: int) -> Iterator[Held]:
    for name, expected in ratios.at_least_once.items():
        if name not in of or PASSTHROUGH not in of:
            raise BenchmarkError(f"{name} was not measured beside {PASSTHROUGH}")
        _expect_all(f"{name} beside {PASSTHROUGH}", of[name].shares, rounds)
        cost = of[name].processor_microseconds / of[PASSTHROUGH].processor_microseconds
        yield from _both(f"{name} / {PASSTHROUGH}", of[name].share_of_passthrough, cost, expected, ratios)


def _to_those_beside(of: dict[str, Row], ratios: Ratios, rounds: int) -> Iterator[Held]:
    for name, expected in ratios.beside.items():
        if name not in of:
            raise BenchmarkError(f"{name} was not measured beside what it is compared with")
        row = of[name]
        for by_round in (row.shares_beside, row.processor_time_beside):
            _expect_all(f"{name} beside {row.beside}", by_round, rounds)
        share, cost = statistics.median(row.shares_beside), statistics.median(row.processor_time_beside)
        yield from _both(f"{name} / {row.beside}", share, cost, expected, ratios)


def _starts(seconds: dict[str, float], ratios: Ratios) -> Iterator[Held]:
    for name, expected in ratios.starts.items():
        if name not in seconds or PASSTHROUGH not in seconds:
            raise BenchmarkError(f"the start of {name} was not measured beside {PASSTHROUGH}'s")
        most = expected * (1 + ratios.start_tolerance)
        yield Held(f"start {name} / {PASSTHROUGH}", seconds[name] / seconds[PASSTHROUGH], most, is_most=True)


def _expect_all(what: str, by_round: Sequence[float], rounds: int) -> None:
    if len(by_round) != rounds:
        raise BenchmarkError(f"{what} was measured in {len(by_round)} of {rounds} rounds")


def _both(of: str, share: float, cost: float, expected: Expected, ratios: Ratios) -> Iterator[Held]:
    yield Held(f"throughput {of}", share, expected.throughput * (1 - ratios.throughput_tolerance), is_most=False)
    most = expected.processor_time * (1 + ratios.processor_time_tolerance)
    yield Held(f"processor time {of}", cost, most, is_most=True)


def run(arguments: Sequence[str] | None = None) -> int:
    """Print each ratio with its limit; the exit code says whether one has fallen. Raises BenchmarkError."""
    parser: argparse.ArgumentParser = OneLineParser(prog=PROGRAM, description=__doc__)
    parser.add_argument("figures", type=path_of, metavar="FIGURES.json", help="what a run wrote with --json")
    found = held(read_figures(parser.parse_args(arguments).figures), read_ratios())
    for one in found:
        print(one.told, file=sys.stderr)
    return int(any(one.has_fallen for one in found))


if __name__ == "__main__":
    raise SystemExit(finish_measuring(PROGRAM, run))
