"""Whether a ratio has fallen: `python -m tests.benchmarks.stream.guard FIGURES.json`, as `make bench-guard` runs it.

`ratios.toml` beside this holds what is expected, and by how much a run may fall short of it.
"""

from __future__ import annotations

import statistics
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.benchmarks.stream.contenders import PASSTHROUGH

RATIOS = Path(__file__).with_name("ratios.toml")


class Row(msgspec.Struct, frozen=True):
    """What is read of a case's figures; see rounds.Throughput."""

    contender: str
    delivery: str
    processes: int
    share_of_passthrough: float
    processor_microseconds: float
    beside: str
    processor_time_beside: list[float]


class Figures(msgspec.Struct, frozen=True):
    """What is read of report.Report."""

    throughput: list[Row]


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Throughput, and processor time of the process, each as a ratio to passthrough's in the same run."""

    throughput: float
    processor_time: float


class Ratios(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`throughput_tolerance` and `processor_time_tolerance` are shares of what is expected.

    `beside` is the processor time of one that is another but for one thing, as a ratio to that other's.
    """

    throughput_tolerance: float
    processor_time_tolerance: float
    at_least_once: dict[str, Expected]
    beside: dict[str, float]


def read_ratios(path: Path = RATIOS) -> Ratios:
    """The committed file. Raises msgspec.ValidationError where it is not of this form."""
    return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Ratios)


def worse(rows: Sequence[Row], ratios: Ratios) -> list[str]:
    """What is worse than expected by more than the tolerance, a line each. Looks at one process, at least once."""
    of = {row.contender: row for row in rows if (row.delivery, row.processes) == ("at-least-once", 1)}
    found = []
    for name, expected in ratios.at_least_once.items():
        if name not in of or PASSTHROUGH not in of:
            found.append(f"{name} was not measured beside {PASSTHROUGH}")
            continue
        least = expected.throughput * (1 - ratios.throughput_tolerance)
        share = of[name].share_of_passthrough
        if share < least:
            found.append(f"{name}: {share:.3f} of passthrough's throughput, at least {least:.3f} is expected")
        most = expected.processor_time * (1 + ratios.processor_time_tolerance)
        cost = of[name].processor_microseconds / of[PASSTHROUGH].processor_microseconds
        if cost > most:
            found.append(f"{name}: {cost:.2f} × passthrough's processor time, at most {most:.2f} is expected")
    for name, expected_beside in ratios.beside.items():
        if name not in of or not of[name].processor_time_beside:
            found.append(f"{name} was not measured beside what it is compared with")
            continue
        most = expected_beside * (1 + ratios.processor_time_tolerance)
        cost = statistics.median(of[name].processor_time_beside)
        if cost > most:
            found.append(f"{name}: {cost:.2f} × {of[name].beside}'s processor time, at most {most:.2f} is expected")
    return found


def main(path: str) -> int:
    """Print what has fallen; the exit code says whether anything has."""
    found = worse(msgspec.json.decode(Path(path).read_bytes(), type=Figures).throughput, read_ratios())
    for line in found:
        print(line, file=sys.stderr)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
