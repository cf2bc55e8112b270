"""What the worker's promises cost: `python -m tests.benchmarks.worker memory | rebalance | guarantees [--json FILE]`.

On a real Kafka: the one that KUAIXUN_TEST_BOOTSTRAP names, else one started for this run. Prints a table, and one
line of JSON at the end.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from kuaixun.export.command_line import OneLineParser, path_of
from kuaixun.trainer.commands.values import whole_number
from tests.benchmarks.alone import alone
from tests.benchmarks.brokers import real_kafka
from tests.benchmarks.failures import finish_measuring
from tests.benchmarks.stream.options import expect_writable
from tests.benchmarks.worker import guarantees, memory, rebalance

PROGRAM = "python -m tests.benchmarks.worker"
HEARTBEATS = ("group.consumer.heartbeat.interval.ms", "group.consumer.min.heartbeat.interval.ms")
SESSION_MS = 6000  # what the tests' broker gives members under KIP-848, and the tests' topics the others


def run() -> int:
    """Measure one thing. Raises BenchmarkError."""
    parser = OneLineParser(prog=PROGRAM, description=__doc__)
    parser.add_argument("what", choices=["memory", "rebalance", "guarantees"])
    messages = "that wait: of memory (5000000), of guarantees (2000000)"
    parser.add_argument("--messages", type=whole_number(1000), metavar="N", help=messages)
    parser.add_argument("--rounds", type=whole_number(1), default=guarantees.ROUNDS, metavar="N", help="of guarantees")
    heartbeat = "of members under KIP-848 (1000); Kafka's own: 5000"
    parser.add_argument("--heartbeat-ms", type=whole_number(1), default=1000, metavar="N", help=heartbeat)
    parser.add_argument("--json", type=path_of, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    expect_writable(options.json)
    with alone(), real_kafka(dict.fromkeys(HEARTBEATS, str(options.heartbeat_ms))) as bootstrap:
        figures: dict[str, Any] = {"what": options.what}
        if options.what == "memory":
            rows: Sequence[Any] = memory.measure(bootstrap, options.messages or 5_000_000)
        elif options.what == "rebalance":
            rows = rebalance.measure(bootstrap, SESSION_MS)
            figures |= {"session_ms": SESSION_MS, "heartbeat_ms": options.heartbeat_ms}
        else:
            rows = guarantees.measure(bootstrap, options.messages or 2_000_000, options.rounds)
            figures |= {"median_share": guarantees.median_share(rows)}
    figures["rows"] = [asdict(row) for row in rows]
    _print(figures["rows"])
    line = json.dumps(figures)
    if options.json is not None:
        options.json.write_text(line + "\n", encoding="utf-8")
    print(line)
    return 0


def _print(rows: Sequence[dict[str, Any]]) -> None:
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int | float) else str(value) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


if __name__ == "__main__":
    raise SystemExit(finish_measuring(PROGRAM, run))
