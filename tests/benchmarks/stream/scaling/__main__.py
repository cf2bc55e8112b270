"""How a message's cost grows: `python -m tests.benchmarks.stream.scaling [--json FILE] [--plots FOLDER] …`.

With the number of partitions, of messages, of a title's characters and of processes; the passthrough in turn with the
worker, in rounds. On a real Kafka: the one that KUAIXUN_TEST_BOOTSTRAP names, else one started for this run.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from kuaixun.export.bundle.reader import default_bundle_path, read_manifest
from kuaixun.export.command_line import OneLineParser, path_of
from kuaixun.export.figures_file import write_figures
from kuaixun.trainer.commands.values import whole_number
from tests.benchmarks.alone import alone
from tests.benchmarks.brokers import real_kafka
from tests.benchmarks.failures import BenchmarkError, finish_measuring
from tests.benchmarks.stream.contenders import CONTENDERS, PASSTHROUGH
from tests.benchmarks.stream.options import expect_writable, one_of
from tests.benchmarks.stream.report import TABLE_COLUMNS, environment, plain_table, show_whole, spread
from tests.benchmarks.stream.scaling.cases import MESSAGES, POINTS, SCALED, Case, cases
from tests.benchmarks.stream.scaling.costs import LEAST_MESSAGES, WARM_MESSAGES, Cost, cost
from tests.benchmarks.stream.scaling.figures import STRAIGHT, Flatness, Line, Row, flatness, lines, rows
from tests.benchmarks.stream.scaling.plots import write_plots

PROGRAM = "python -m tests.benchmarks.stream.scaling"
ROUNDS = 5
SHORT_MESSAGES = 50_000


@dataclass(frozen=True, slots=True)
class Scaling:
    """One run's figures."""

    environment: dict[str, Any]
    rows: list[Row]
    flat: list[Flatness]
    lines: list[Line]
    read_characters: int  # of a title, by the student


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
    return Scaling(of, own, flatness(own), lines(own, read_characters), read_characters)


def show(said: Scaling) -> None:
    """Print tables of the rows, and what they come to."""
    console = Console(width=None if sys.stdout.isatty() else TABLE_COLUMNS, highlight=False)
    table = plain_table("contender", "by", "", "processor\nµs", "in\nrounds", "messages\n/ s")
    for row in said.rows:
        by_round = row.processor_microseconds_by_round
        table.add_row(
            *(row.contender, row.series, f"{row.point:,}", f"{row.processor_microseconds:.2f}"),
            *(spread(by_round), f"{row.messages_per_second:,.0f}"),
        )
    show_whole(console, table)
    for flat in said.flat:
        verdict = "flat" if flat.kept else "not flat"
        console.print(f"{flat.contender} by {flat.series}: ± {flat.within:.1%}, {verdict} at ± {flat.limit:.0%}")
    for line in said.lines:
        console.print(
            f"{line.contender}, titles of up to {line.up_to} characters: {line.microseconds_per_message:.2f} µs a "
            f"message and {line.microseconds_per_character:.4f} µs a character, "
            f"off the line by {line.off_the_line:.1%} at most{told_of(line, said.read_characters)}"
        )


def told_of(line: Line, read_characters: int) -> str:
    """Whether it is as straight as is aimed at, which is asked of what the student reads whole."""
    if line.up_to > read_characters:
        return ""
    return f", {'straight' if line.off_the_line <= STRAIGHT else 'not straight'} at ± {STRAIGHT:.0%}"


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line's. Leaves with code 2, and a line, for what cannot be measured. Raises BenchmarkError."""
    parser = OneLineParser(prog=PROGRAM, description=__doc__)
    parser.add_argument(
        "--only",
        nargs="+",
        type=one_of(SCALED),
        default=["native"],
        metavar="NAME",
        help=f"measure these beside passthrough, of {', '.join(SCALED)} (default: native)",
    )
    parser.add_argument(
        "--series",
        nargs="+",
        type=one_of(list(POINTS)),
        default=list(POINTS),
        metavar="NAME",
        help=f"of {', '.join(POINTS)} (default: all)",
    )
    parser.add_argument("--rounds", type=whole_number(1), metavar="N", help=f"(default: {ROUNDS})")
    parser.add_argument("--messages", type=whole_number(1), metavar="N", help=f"of a backlog (default: {MESSAGES:,})")
    parser.add_argument("--most-messages", type=whole_number(1), metavar="N", help="leave out larger backlogs")
    parser.add_argument("--json", type=path_of, metavar="FILE", help="write the figures there")
    parser.add_argument("--plots", type=path_of, metavar="FOLDER", help="draw them there, as SVG")
    parser.add_argument(
        "--short",
        action="store_true",
        help="what is not given is one round of small backlogs, which says whether it works",
    )
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.short else ROUNDS)
    options.messages = options.messages or (SHORT_MESSAGES if options.short else MESSAGES)
    options.most_messages = options.most_messages or (2 * SHORT_MESSAGES if options.short else None)
    expect_writable(options.json)
    if options.plots is not None:
        try:
            options.plots.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BenchmarkError(f"--plots {options.plots}: {error.strerror}; name another folder") from None
        if not os.access(options.plots, os.W_OK):
            raise BenchmarkError(f"--plots {options.plots}: cannot be written to; name another folder")
    return options


def run(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write the figures and the plots; what was measured before a failure too."""
    options = read_options(arguments)
    effort = (WARM_MESSAGES, LEAST_MESSAGES)
    if options.short:
        effort = (SHORT_MESSAGES, SHORT_MESSAGES)
    wanted = cases(options.series, options.messages, options.most_messages)
    names = list(dict.fromkeys((PASSTHROUGH, *options.only)))
    of, found = environment(options.messages, None, names), []
    whole = options.rounds * len(wanted) * len(names)
    with alone():
        try:
            with real_kafka() as bootstrap:
                for one in measure(bootstrap, names, wanted, options.rounds, *effort):
                    found.append(one)
                    if options.json is not None:  # as it goes, for it takes long
                        write_figures(options.json, asdict(summed_up(found, of)))
                    print(
                        f"{len(found)} of {whole}: {one.case.series} {one.case.point:,}: {one.contender}, "
                        f"{one.processor_microseconds:.2f} µs, {one.messages_per_second:,.0f} /s",
                        file=sys.stderr,
                    )
        finally:
            if found:
                said = summed_up(found, of)
                show(said)
                if options.plots is not None and len(found) == whole:
                    write_plots(options.plots, said.rows, said.lines)
    return 0


if __name__ == "__main__":
    raise SystemExit(finish_measuring(PROGRAM, run))
