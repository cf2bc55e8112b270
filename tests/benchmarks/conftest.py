"""What `make bench` adds to build/bench.json: rows per second, and how many times faster than the plain convolutions.

Seconds depend on the machine and on what else it does; a ratio of two figures of one run hardly does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

ROUNDS_WITH_PREPARATION = 50

YARDSTICK = "convolutional"


class Measure(Protocol):
    """Times a call that handles this many rows, and not what is to be done before each."""

    def __call__(self, call: Callable[[], object], rows: int, before: Callable[[], object] | None = None) -> None: ...


@pytest.fixture
def measure(benchmark: BenchmarkFixture) -> Measure:
    """See Measure."""

    def run(call: Callable[[], object], rows: int, before: Callable[[], object] | None = None) -> None:
        benchmark.extra_info["rows"] = rows
        if before is None:
            benchmark(call)
        else:
            benchmark.pedantic(call, setup=before, rounds=ROUNDS_WITH_PREPARATION)  # type: ignore[no-untyped-call]

    return run


def pytest_benchmark_update_json(config: object, benchmarks: object, output_json: dict[str, Any]) -> None:
    """Add `rows_per_second` by benchmark and `ratios`: each engine against the yardstick at the same batch size."""
    rows_per_second = {
        one["name"].removeprefix("test_"): one["extra_info"]["rows"] / one["stats"]["median"]
        for one in output_json["benchmarks"]
    }
    output_json["rows_per_second"] = {name: round(value, 1) for name, value in rows_per_second.items()}
    output_json["ratios"] = {
        f"{name} / {yardstick}": round(value / rows_per_second[yardstick], 2)
        for name, value in rows_per_second.items()
        if name.startswith("classify")
        and (yardstick := re.sub(r"\[\w+-", f"[{YARDSTICK}-", name)) != name
        and yardstick in rows_per_second
    }
