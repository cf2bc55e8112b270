"""What `make bench` keeps and prints: figures with what they are of, as a file and as one table."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import confluent_kafka
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kuaixun.export.bundle.reader import default_bundle_path
from kuaixun.export.figures_file import write_figures
from kuaixun.worker.delivery.promise import Guarantee
from kuaixun.worker.errors import SettingError
from kuaixun.worker.kafka.client_defaults import CONSUMER_DEFAULTS, PRODUCER_DEFAULTS
from kuaixun.worker.settings import PREFIX, PROPERTY_FIELDS, WorkerSettings, read_settings
from tests.benchmarks.brokers import broker_environment
from tests.benchmarks.failures import BenchmarkError
from tests.benchmarks.gpu import gpu_name
from tests.benchmarks.measurements import machine
from tests.benchmarks.peers.environments import peer_versions
from tests.benchmarks.peers.settings import SETTINGS
from tests.benchmarks.stream import passthrough
from tests.benchmarks.stream.aims import significant, times_peers, verdicts
from tests.benchmarks.stream.contenders import CONTENDERS, PASSTHROUGH
from tests.benchmarks.stream.latency import Latency
from tests.benchmarks.stream.rounds import Throughput
from tests.benchmarks.stream.start import Start

TABLE_COLUMNS = 200  # where there is no terminal
WIDEST = 1000


@dataclass(slots=True)
class Report:
    """One run's figures; what was not measured is empty. `left_out` says what is in no figure, and why.

    On the `embedded` broker no aim is held against them: all are of a real Kafka.
    """

    environment: Mapping[str, Any]
    throughput: list[Throughput] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)
    parts: Mapping[str, Any] = field(default_factory=dict)
    rounds: int = 0
    embedded: bool = False

    def write(self, path: Path) -> None:
        """Write all of it as JSON, at once. Raises OSError."""
        write_figures(path, {**asdict(self), "aims": self._aims()})

    def show(self) -> None:
        """Print what the figures are of, the table, and what it comes to."""
        width = None if sys.stdout.isatty() else TABLE_COLUMNS
        console = Console(width=width, highlight=False, markup=False, soft_wrap=True)
        for name, value in self.environment.items():
            console.print(f"{name}: {value}")
        show_whole(console, throughput_table(self.throughput, self.starts))
        for line in self.left_out:
            console.print(f"left out: {line}")
        if self.latencies:
            show_whole(console, latency_table(self.latencies))
        for row in self.throughput:
            if row.shares_beside and row.beside != PASSTHROUGH:
                console.print(
                    f"{row.contender}, {row.delivery}: {statistics.median(row.shares_beside):.3f} of {row.beside}'s "
                    f"throughput (in rounds {spread(row.shares_beside)}), "
                    f"{statistics.median(row.processor_time_beside):.3f} × its processor time"
                )
        for name, many in times_peers(self.throughput).items():
            console.print(f"native: {significant(many)} × {name}'s throughput")
        if self.parts:
            show_whole(console, parts_table(self.parts))
        for line in self._aims():
            console.print(line)

    def _aims(self) -> list[str]:
        if self.embedded:
            return []
        return [verdict.told for verdict in verdicts(self.throughput, self.starts, self.latencies)]


def throughput_table(rows: Sequence[Throughput], starts: Sequence[Start]) -> Table:
    """A section for each guarantee and number of processes. No wider than a terminal of 80 columns."""
    table = plain_table(
        "", "messages\n/ s", "of pass-\nthrough", "in\nrounds", "proc.\nµs", "peak\nMB", "start\ns", "then\nMB"
    )
    started = {one.contender: (f"{one.seconds:.2f}", f"{one.resident_megabytes:.0f}") for one in starts}
    kind = None
    for row in rows:
        if kind != (kind := (row.delivery, row.processes)):
            table.add_section()
            table.add_row(f"{row.delivery} × {row.processes}", style="bold")
        alone = kind == (Guarantee.AT_LEAST_ONCE, 1)
        table.add_row(
            *(row.contender, f"{row.messages_per_second:,.0f}", share(row.share_of_passthrough), spread(row.shares)),
            *(f"{row.processor_microseconds:.2f}", f"{row.peak_megabytes:.0f}"),
            *(started.get(row.contender, ("", "")) if alone else ("", "")),
        )
    return table


def latency_table(latencies: Sequence[Latency]) -> Table:
    """Medians of the rounds, the rounds' least and most in brackets, and beside them what they may be."""
    table = plain_table(
        "", "messages\n/ s", "p50\nms", "p99\nms", "at most", "p99.9\nms", "at most", "arrived", "traffic\nlate"
    )
    load = None
    for one in latencies:
        if load != (load := one.share_of_maximum):
            table.add_section()
            table.add_row(f"at {load:.0%}", style="bold")
        table.add_row(
            *(one.contender, f"{one.messages_per_second:,.0f}"),
            _with_spread(one.p50_ms, one.p50_by_round),
            _with_spread(one.p99_ms, one.p99_by_round),
            _limit(one.p99_ms, one.p99_limit_ms),
            _with_spread(one.p999_ms, one.p999_by_round),
            _limit(one.p999_ms, one.p999_limit_ms),
            *(f"{one.arrived:.1%}", f"{one.late_p99_ms:.1f}"),
        )
    return table


def parts_table(parts: Mapping[str, Any]) -> Table:
    """What pytest-benchmark measured: rows a second through each part, and their ratio to the plain convolutions'."""
    table = plain_table("part", "rows / s", "of the\nconvolutions")
    ratios = {name.partition(" / ")[0]: ratio for name, ratio in parts["ratios"].items()}
    for name, rate in parts["rows_per_second"].items():
        # As it is: what stands in brackets is no markup.
        table.add_row(Text(name), f"{rate:,.0f}", f"{ratios[name]:g} ×" if name in ratios else "")
    return table


def share(value: float) -> str:
    """Of a slow one the digits that say anything.

    >>> share(0.7351), share(0.0028)
    ('0.735', '0.0028')
    """
    return f"{value:.3f}" if value >= 0.01 else f"{value:.4f}"


def spread(values: Sequence[float]) -> str:
    """The least and the most.

    >>> spread([0.7, 0.651, 0.8]), spread([0.0028, 0.0031])
    ('0.65…0.80', '0.003…0.003')
    """
    least, most = min(values), max(values)
    return f"{least:.2f}…{most:.2f}" if least >= 0.01 else f"{least:.3f}…{most:.3f}"


def environment(
    messages: int, texts: Path | None, contenders: Sequence[str], *, embedded: bool = False
) -> dict[str, Any]:
    """Versions and settings that the figures depend on; of the peers, those of the contenders.

    Raises BenchmarkError: see `environment_settings`.
    """
    versions = peer_versions()
    peers = dict.fromkeys(CONTENDERS[name].peer for name in contenders if CONTENDERS[name].peer)
    on_gpu = any(CONTENDERS[name].on_gpu for name in contenders)
    return {
        **machine(default_bundle_path()),
        **({"gpu": gpu_name()} if on_gpu else {}),
        "confluent-kafka": version("confluent-kafka"),
        "librdkafka": confluent_kafka.libversion()[0],
        **broker_environment(embedded=embedded),
        "messages": messages,
        "texts": texts.name if texts else "various ones, made of the demo's",
        "worker's consumer": dict(CONSUMER_DEFAULTS),
        "worker's producer": dict(PRODUCER_DEFAULTS),
        "worker's settings by the environment": environment_settings(),
        "passthrough's consumer": passthrough.CONSUMER,
        "passthrough's producer": passthrough.producer_properties(os.environ),
        **{f"{name}'s versions": versions[name] for name in peers},
        **{f"{name}'s settings": SETTINGS[name] for name in peers},
    }


def worker_settings() -> WorkerSettings:
    """Those that the measured workers have by their environment, `.env` included.

    Raises BenchmarkError for what no worker would start with.
    """
    try:
        return read_settings({})
    except SettingError as error:
        raise BenchmarkError(str(error)) from None


def environment_settings() -> dict[str, str]:
    """What that environment sets of them, secrets hidden. Raises BenchmarkError: see `worker_settings`."""
    settings = worker_settings()
    chosen = sorted(settings.model_fields_set.difference(PROPERTY_FIELDS))
    said = {f"{PREFIX}{name}".upper(): str(getattr(settings, name)) for name in chosen}
    return {**said, "properties": settings.shown_properties()}


def plain_table(*columns: str) -> Table:
    """A table whose first column is of names, and all others of figures."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False, show_edge=False)
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    return table


def show_whole(console: Console, table: Table) -> None:
    """Print a table of which nothing is cut: where the terminal is too narrow, its lines are longer."""
    needed = console.measure(table, options=console.options.update(width=WIDEST)).maximum
    console.print()
    # What is asked to print wider than it is cuts all the same.
    Console(width=max(console.width, needed), highlight=False).print(table)
    console.print()


def _with_spread(median: float, by_round: Sequence[float]) -> str:
    return f"{median:.1f} ({min(by_round):.1f}…{max(by_round):.1f})"


def _limit(figure: float, limit: float | None) -> str:
    if limit is None:
        return ""
    return f"{limit:.1f} {'kept' if figure <= limit else 'missed'}"
