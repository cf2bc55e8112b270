"""How a message's cost grows: `python -m tests.benchmarks.stream.scaling [--json FILE] [--plots FOLDER] …`.

With the number of partitions, of messages, of a title's characters and of processes; the passthrough in turn with the
worker, in rounds. On a real Kafka: the one that KUAIXUN_TEST_BOOTSTRAP names, else one started for this run.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from kuaixun.export.bundle.reader import default_bundle_path, read_manifest
from tests.benchmarks.real_kafka import real_kafka
from tests.benchmarks.stream.contenders import CONTENDERS, PASSTHROUGH
from tests.benchmarks.stream.report import TABLE_COLUMNS, environment
from tests.benchmarks.stream.scaling.cases import MESSAGES, POINTS, SCALED, Case, cases
from tests.benchmarks.stream.scaling.costs import LEAST_MESSAGES, WARM_MESSAGES, Cost, cost
from tests.benchmarks.stream.scaling.figures import Flatness, Line, Row, flatness, lines, rows
from tests.benchmarks.stream.scaling.plots import write_plots

SHORT_MESSAGES = 50_000


@dataclass(frozen=True, slots=True)
class Scaling:
    """One run's figures."""

    environment: dict[str, Any]
    rows: list[Row]
    flat: list[Flatness]
    lines: list[Line]


def measure(
    bootstrap: str,
    names: Sequence[str],
    wanted: Sequence[Case],
    rounds: int,
    warm_messages: int = WARM_MESSAGES,
    least_messages: int = LEAST_MESSAGES,
) -> Iterator[Cost]:
    """Rounds over all cases and contenders, every other one backwards, after one run that only warms the broker."""
    in_turn = [(case, name) for case in wanted for name in names]
    cost(CONTENDERS[names[0]], bootstrap, wanted[0], warm_messages, least_messages)
    for number in range(rounds):
        for case, name in in_turn if number % 2 == 0 else reversed(in_turn):
            yield cost(CONTENDERS[name], bootstrap, case, warm_messages, least_messages)


def summed_up(found: Sequence[Cost], of: dict[str, Any]) -> Scaling:
    """All that is said of the costs."""
    own = rows(found)
    read_characters = read_manifest(default_bundle_path()).text.max_tokens
    return Scaling(of, own, flatness(own), lines(own, read_characters))


def write(path: Path, said: Scaling) -> None:
    """All of it as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(said), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def show(said: Scaling) -> None:
    """Print tables of the rows, and what they come to."""
    console = Console(width=None if sys.stdout.isatty() else TABLE_COLUMNS, highlight=False)
    table = Table("varied", "", "contender", "processor µs", "in rounds", "messages / s")
    for row in said.rows:
        by_round = row.processor_microseconds_by_round
        table.add_row(
            *(row.series, f"{row.point:,}", row.contender, f"{row.processor_microseconds:.2f}"),
            *(f"{min(by_round):.2f} … {max(by_round):.2f}", f"{row.messages_per_second:,.0f}"),
        )
    console.print(table)
    for flat in said.flat:
        verdict = "flat" if flat.kept else "not flat"
        console.print(f"{flat.contender} by {flat.series}: ± {flat.within:.1%}, {verdict} at ± {flat.limit:.0%}")
    for line in said.lines:
        console.print(
            f"{line.contender}, titles of up to {line.up_to} characters: {line.microseconds_per_message:.2f} µs a "
            f"message and {line.microseconds_per_character:.4f} µs a character, "
            f"off the line by {line.off_the_line:.1%} at most"
        )


def main() -> None:
    """Measure, write the figures and the plots, print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.stream.scaling", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SCALED, default=["native"], metavar="NAME")
    parser.add_argument("--series", nargs="+", choices=list(POINTS), default=list(POINTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=MESSAGES, help="of a backlog (default: %(default)s)")
    parser.add_argument("--most-messages", type=int, help="leave out larger backlogs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw them there, as SVG")
    parser.add_argument("--short", action="store_true", help="one round of small backlogs: says whether it works")
    options = parser.parse_args()
    effort = (WARM_MESSAGES, LEAST_MESSAGES)
    if options.short:
        options.rounds, options.messages, options.most_messages = 1, SHORT_MESSAGES, 2 * SHORT_MESSAGES
        effort = (SHORT_MESSAGES, SHORT_MESSAGES)
    wanted = cases(options.series, options.messages, options.most_messages)
    names = list(dict.fromkeys((PASSTHROUGH, *options.only)))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended with this
    of, found = environment(options.messages, None), []
    with real_kafka() as bootstrap:
        for one in measure(bootstrap, names, wanted, options.rounds, *effort):
            found.append(one)
            if options.json is not None:  # as it goes, for it takes long
                write(options.json, summed_up(found, of))
            print(
                f"{one.case.series} {one.case.point:,}: {one.contender}, {one.processor_microseconds:.2f} µs, "
                f"{one.messages_per_second:,.0f} /s",
                file=sys.stderr,
            )
    said = summed_up(found, of)
    if options.plots is not None:
        write_plots(options.plots, said.rows, said.lines)
    show(said)


if __name__ == "__main__":
    main()
