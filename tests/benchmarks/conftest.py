"""What `make bench` adds to build/bench.json: rows per second, and how many times faster than the plain convolutions.

Seconds depend on the machine and on what else it does; a ratio of two figures of one run hardly does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

Measure: TypeAlias = Callable[[Callable[[], object], int], None]

YARDSTICK = "convolutional"


@pytest.fixture
def measure(benchmark: BenchmarkFixture) -> Measure:
    """Time a call that handles this many rows."""

    def run(call: Callable[[], object], rows: int) -> None:
        benchmark.extra_info["rows"] = rows
        benchmark(call)

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
