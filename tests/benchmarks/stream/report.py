"""What `make bench` keeps and prints: figures with what they are of, as a file and as one table."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import confluent_kafka
from rich.console import Console
from rich.table import Table

from kuaixun.export.bundle.reader import default_bundle_path
from kuaixun.worker.delivery.promise import Guarantee
from kuaixun.worker.kafka.client_defaults import CONSUMER_DEFAULTS, PRODUCER_DEFAULTS
from tests.benchmarks.measurements import machine
from tests.benchmarks.peers.environments import peer_versions
from tests.benchmarks.stream import passthrough
from tests.benchmarks.stream.contenders import PASSTHROUGH
from tests.benchmarks.stream.latency import Latency
from tests.benchmarks.stream.rounds import Throughput
from tests.benchmarks.stream.start import Start

TABLE_COLUMNS = 200  # where there is no terminal


@dataclass(slots=True)
class Report:
    """One run's figures; what was not measured is empty. `left_out` names drains that are in no figure, and why."""

    environment: Mapping[str, Any]
    throughput: list[Throughput] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)
    parts: Mapping[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write all of it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    def show(self) -> None:
        """Print what the figures are of, and the table."""
        console = Console(width=None if sys.stdout.isatty() else TABLE_COLUMNS, highlight=False)
        for name, value in self.environment.items():
            console.print(f"{name}: {value}", markup=False)
        table = Table("contender", "guarantee", "processes", "messages / s", "of passthrough", "in rounds")
        for name in ("processor µs", "peak MB", "start s"):
            table.add_column(name, justify="right")
        seconds = {one.contender: f"{one.seconds:.2f}" for one in self.starts}
        for row in self.throughput:
            alone = row.processes == 1 and row.delivery == Guarantee.AT_LEAST_ONCE
            table.add_row(
                *(row.contender, row.delivery, str(row.processes), f"{row.messages_per_second:,.0f}"),
                f"{row.share_of_passthrough:.3f}",
                f"{min(row.shares):.2f} … {max(row.shares):.2f}",
                *(f"{row.processor_microseconds:.2f}", f"{row.peak_megabytes:.0f}"),
                seconds.get(row.contender, "") if alone else "",
            )
        console.print(table)
        for line in self.left_out:
            console.print(f"left out: {line}", markup=False)
        if self.latencies:
            console.print(latency_table(self.latencies))
        for row in self.throughput:
            if row.shares_beside and row.beside != PASSTHROUGH:
                console.print(
                    f"{row.contender}, {row.delivery}: {statistics.median(row.shares_beside):.3f} of {row.beside}'s "
                    f"throughput (in rounds {min(row.shares_beside):.2f} … {max(row.shares_beside):.2f}), "
                    f"{statistics.median(row.processor_time_beside):.3f} × its processor time",
                    markup=False,
                )
        for name, ratio in self.parts.get("ratios", {}).items():
            console.print(f"{name}: {ratio}", markup=False)


def latency_table(latencies: Sequence[Latency]) -> Table:
    """Medians of the rounds, the rounds' least and most in brackets, and beside them what they may be."""
    table = Table("contender", "load", title="ms from due to received", title_justify="left")
    for name in ("messages / s", "p50", "p99", "at most", "p99.9", "at most", "arrived", "traffic late, p99"):
        table.add_column(name, justify="right")
    for one in latencies:
        table.add_row(
            *(one.contender, f"{one.share_of_maximum:.0%}", f"{one.messages_per_second:,.0f}"),
            _with_spread(one.p50_ms, one.p50_by_round),
            _with_spread(one.p99_ms, one.p99_by_round),
            _limit(one.p99_ms, one.p99_limit_ms),
            _with_spread(one.p999_ms, one.p999_by_round),
            _limit(one.p999_ms, one.p999_limit_ms),
            *(f"{one.arrived:.1%}", f"{one.late_p99_ms:.1f}"),
        )
    return table


def _with_spread(median: float, by_round: Sequence[float]) -> str:
    return f"{median:.1f} ({min(by_round):.1f} … {max(by_round):.1f})"


def _limit(figure: float, limit: float | None) -> str:
    if limit is None:
        return ""
    return f"{limit:.1f} {'kept' if figure <= limit else 'missed'}"


def environment(messages: int, texts: Path | None) -> dict[str, Any]:
    """Versions and settings that the figures depend on."""
    return {
        **machine(default_bundle_path()),
        "confluent-kafka": version("confluent-kafka"),
        "librdkafka": confluent_kafka.libversion()[0],
        "messages": messages,
        "texts": texts.name if texts else "the demo's headlines",
        "worker's consumer": dict(CONSUMER_DEFAULTS),
        "worker's producer": dict(PRODUCER_DEFAULTS),
        "peers": peer_versions(),
        "passthrough's consumer": passthrough.CONSUMER,
        "passthrough's producer": passthrough.PRODUCER,
    }
