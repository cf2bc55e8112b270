"""What is to be measured, as the command line says it; refused in one line, before anything is started."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kuaixun.export.command_line import OneLineParser, path_of
from kuaixun.export.figures_file import expect_writable_figures
from kuaixun.trainer.commands.values import real_number, whole_number
from kuaixun.worker.delivery.promise import Guarantee
from tests.benchmarks.failures import BenchmarkError
from tests.benchmarks.stream import latency
from tests.benchmarks.stream.contenders import CONTENDERS
from tests.benchmarks.worker.backlog import titles_of
from tests.worker.topics import PARTITIONS

# A backlog of fewer is drained before it can be looked at.
FEWEST_MESSAGES = 1_000
PARTS = ("rows_per_second", "ratios")
MESSAGES, SHORT_MESSAGES = 1_000_000, 400_000
ROUNDS, SHORT_ROUNDS = 5, 3
LOADS = (0.1, 0.5, 0.8)
BROKER_WARM_SECONDS = 60.0
# What loads are shares of: what the worker itself keeps up with, so that all contenders see the same rates.
LOADED_BY = "native"


@dataclass(frozen=True, slots=True)
class Options:
    """One run. `loads` are shares of what one process of `LOADED_BY` keeps up with at least once; none: no latency.

    `embedded`: on librdkafka's own broker.
    """

    only: list[str]
    messages: int
    rounds: int
    processes: list[int]
    delivery: list[Guarantee]
    texts: Path | None
    json: Path | None
    loads: list[float]
    seconds: float
    broker_warm_seconds: float
    parts: Mapping[str, Mapping[str, float]]  # see read_parts
    embedded: bool = False


def read_options(arguments: Sequence[str] | None = None) -> Options:
    """The command line's. Leaves with code 2, and a line, for what cannot be measured.

    Raises BenchmarkError for files that cannot be read or written.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    embedded: bool = given.embedded
    short: bool = given.short or embedded
    delivery = given.delivery or ([Guarantee.AT_LEAST_ONCE] if short else list(Guarantee))
    processes = given.processes or ([1] if short else [1, 2])
    loads, warm = given.load, given.broker_warm_seconds
    if loads is None:
        loads = [] if short else list(LOADS)
    if embedded:
        for flag, refused, why in (
            ("--load", loads, "latency is measured on a real Kafka"),
            ("--processes", processes != [1], "it does not tell when all members of a group are there"),
        ):
            if refused:
                parser.error(f"{flag}: not with --embedded: {why}")
    options = Options(
        only=list(dict.fromkeys(given.only)),
        messages=given.messages or (SHORT_MESSAGES if short else MESSAGES),
        rounds=given.rounds or (SHORT_ROUNDS if short else ROUNDS),
        processes=sorted(set(processes)),
        delivery=list(dict.fromkeys(delivery)),
        texts=given.texts,
        json=given.json,
        loads=loads,
        seconds=given.seconds,
        broker_warm_seconds=BROKER_WARM_SECONDS * (not short) if warm is None else warm,
        parts=read_parts(given.parts),
        embedded=embedded,
    )
    if options.texts is not None:
        titles_of(options.texts)
    expect_writable(options.json)
    return options


def expect_writable(path: Path | None) -> None:
    """Make the folder of a file of figures, where one is asked for, and try it: before the measuring.

    Raises BenchmarkError.
    """
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        expect_writable_figures(path)
    except OSError as error:
        raise BenchmarkError(f"--json {path}: cannot be written: {error.strerror}; name another file") from None


def read_parts(path: Path | None) -> dict[str, dict[str, float]]:
    """What pytest-benchmark measured, as `conftest.py` keeps it. Raises BenchmarkError for any other file."""
    if path is None:
        return {}
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {part: {str(name): float(value) for name, value in kept[part].items()} for part in PARTS}
    except OSError as error:
        why = error.strerror
    except (ValueError, LookupError, TypeError, AttributeError):
        why = f"it has no {' and '.join(PARTS)}"
    raise BenchmarkError(f"--parts {path}: cannot be read: {why}; make it with `make bench`")


def guarantee(text: str) -> Guarantee:
    """An argument that names one."""
    if text not in list(Guarantee):
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(Guarantee)}")
    return Guarantee(text)


def one_of(names: Sequence[str]) -> Callable[[str], str]:
    """A converter to one of these, whose refusal names them all."""

    def convert(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(names)}")
        return text

    return convert


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="python -m tests.benchmarks.stream",
        description="From topic to topic, beside a loop that only moves bytes. On a real Kafka: the one that "
        "KUAIXUN_TEST_BOOTSTRAP names, else one started for this run. Whatever the environment sets of the worker, as "
        "KUAIXUN_MAX_BATCH does, holds for the workers measured. All of it takes an hour or two, --short some minutes.",
    )
    share = real_number(0, 1, "share above 0 and no greater than 1", above=True)
    seconds = real_number(0, 3600, "number of seconds, above 0 and at most 3600", above=True)
    parser.add_argument(
        "--only",
        nargs="+",
        type=one_of(list(CONTENDERS)),
        default=list(CONTENDERS),
        metavar="NAME",
        help=f"measure these beside passthrough, of {', '.join(CONTENDERS)} (default: all)",
    )
    parser.add_argument(
        "--messages", type=whole_number(FEWEST_MESSAGES), metavar="N", help=f"that wait (default: {MESSAGES:,})"
    )
    parser.add_argument(
        "--rounds", type=whole_number(1), metavar="N", help=f"of which medians are taken (default: {ROUNDS})"
    )
    parser.add_argument(
        "--processes",
        nargs="+",
        type=whole_number(1, PARTITIONS),
        metavar="N",
        help=f"that share the {PARTITIONS} partitions (default: 1 2)",
    )
    parser.add_argument(
        "--delivery", nargs="+", type=guarantee, metavar="NAME", help=f"of {', '.join(Guarantee)} (default: both)"
    )
    parser.add_argument("--texts", type=path_of, metavar="FILE", help="a headline a line, else various ones")
    parser.add_argument("--json", type=path_of, metavar="FILE", help="write the figures there")
    parser.add_argument(
        "--load",
        nargs="*",
        type=share,
        metavar="SHARE",
        help=f"of what {LOADED_BY} keeps up with, at which latency of {', '.join(latency.LATENCY_OF)} is measured; "
        f"found anew before each load of each round (default: {' '.join(map(str, LOADS))}; without a number: none)",
    )
    parser.add_argument(
        "--seconds",
        type=seconds,
        default=10,
        metavar="N",
        help=f"that count, of each latency and of each offer in search of what {LOADED_BY} keeps up with "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--broker-warm-seconds",
        type=real_number(0, 3600, "number of seconds from 0 to 3600"),
        metavar="N",
        help="of passthrough, uncounted, before throughput and before latency is measured, each "
        f"(default: {BROKER_WARM_SECONDS:g})",
    )
    parser.add_argument(
        "--parts", type=path_of, metavar="FILE", help="pytest-benchmark's figures, to be kept with these"
    )
    parser.add_argument(
        "--embedded",
        action="store_true",
        help="on librdkafka's own broker in this process, where there is no Java, as beside many a GPU; with --short's "
        "defaults, one process and no latency",
    )
    parser.add_argument(
        "--short",
        action="store_true",
        help=f"what is not given is less: {SHORT_MESSAGES:,} messages, {SHORT_ROUNDS} rounds, one process, at least "
        "once, no latency, on a broker that is not warm; with --only null native a minute and a half, and half a "
        "minute for each further contender",
    )
    return parser
