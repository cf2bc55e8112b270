"""Which share of a watched worker's processor time being watched takes: `python -m tests.benchmarks.stream.watching`.

A worker with `--health-address` drains a backlog, its page open and its metrics scraped, and the processor time of
every call that looks on is added up, from the first batch on: a start is in neither. That is a figure where pairs of
runs only bound one: they scatter by a tenth. What the calls cost the rest of the worker, such as by what they put out
of the cache, is in those pairs alone.
"""

from __future__ import annotations

import atexit
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

from kuaixun.export.command_line import OneLineParser
from kuaixun.trainer.commands.values import whole_number
from kuaixun.worker import cli
from kuaixun.worker.observability import server
from kuaixun.worker.observability.observatory import Observatory
from kuaixun.worker.observability.watched import ModelFigures
from tests.benchmarks.alone import alone
from tests.benchmarks.brokers import real_kafka
from tests.benchmarks.failures import finish_measuring
from tests.benchmarks.stream.contenders import THREADS, Contender
from tests.benchmarks.stream.drain import Backlog, started
from tests.benchmarks.stream.progress import Progress
from tests.benchmarks.stream.visitor import Visitor
from tests.benchmarks.worker.own_topics import own_topics
from tests.worker.topics import Topics

PROGRAM = "python -m tests.benchmarks.stream.watching"
WORKER = "worker"
SAID = "watched: "
FIRST = "handled"
# Every way into what looks on: from the loop, from what labels, and from readers.
WATCHING = ((Observatory, "handled"), (Observatory, "confirmed"), (Observatory, "turned"), (ModelFigures, "_add"))


class Spent:
    """Processor time from the first batch on, in seconds: of the calls that look on by name, and of the process."""

    def __init__(self) -> None:
        self._by_name: dict[str, float] = defaultdict(float)
        self._began: float | None = None

    def add(self, name: str, seconds: float) -> None:
        """A call took so long; that a batch is handled is what ends the start."""
        if self._began is None:
            if name != FIRST:
                return
            self._began = time.process_time() - seconds
        self._by_name[name] += seconds

    def said(self) -> dict[str, float]:
        """By name, and `all`. Nothing where there was no batch."""
        return {} if self._began is None else {**self._by_name, "all": time.process_time() - self._began}


def count_time(spent: Spent, of: type, name: str) -> None:
    """Add the processor time of each call of a method to `spent`."""
    called: Callable[..., Any] = getattr(of, name)

    @wraps(called)
    def counted(*args: Any, **named: Any) -> Any:
        began = time.thread_time()
        try:
            return called(*args, **named)
        finally:
            spent.add(name, time.thread_time() - began)

    setattr(of, name, counted)


def worker(flags: list[str]) -> int:
    """`kuaixun-worker run`, which says at its end what being watched took."""
    spent = Spent()
    for of, name in WATCHING:
        count_time(spent, of, name)
    count_time(spent, vars(server)["_Handler"], "handle")
    atexit.register(lambda: print(SAID + json.dumps(spent.said()), file=sys.stderr, flush=True))
    return cli.main(["run", *flags])


def command(topics: Topics) -> list[str]:
    """What starts that worker."""
    flags = [*topics.flags(), *THREADS, "--engine", "native", "--health-address", "0"]
    return [sys.executable, "-m", "tests.benchmarks.stream.watching", WORKER, *flags]


def measured(bootstrap: str, messages: int, rounds: int) -> list[dict[str, float]]:
    """The seconds that each round's worker said."""
    with Backlog.written(bootstrap, messages, None) as backlog:
        return [_round(backlog) for _ in range(rounds)]


def _round(backlog: Backlog) -> dict[str, float]:
    with own_topics(backlog.topics.bootstrap) as own:
        topics = replace(own, input=backlog.topics.input)
        progress = Progress(topics)
        with started(Contender("watched", command), topics, 1) as (member,):
            with Visitor(member) as visitor:
                progress.wait_for(backlog.messages, [member])
            member.process.terminate()
            member.process.wait()
        visitor.raise_any()
        progress.close()
    (line,) = (line for line in member.said if line.startswith(SAID))
    found: dict[str, float] = json.loads(line.removeprefix(SAID))
    return found


def run() -> int:
    """Measure and print a line a round. Raises BenchmarkError."""
    parser = OneLineParser(prog=PROGRAM, description=__doc__)
    messages = "that wait (default: %(default)s)"
    parser.add_argument("--messages", type=whole_number(1000), default=2_000_000, metavar="N", help=messages)
    parser.add_argument("--rounds", type=whole_number(1), default=3, metavar="N", help="(default: %(default)s)")
    options = parser.parse_args()
    with alone(), real_kafka() as bootstrap:
        for spent in measured(bootstrap, options.messages, options.rounds):
            whole = spent.pop("all")
            parts = ", ".join(f"{name.strip('_')} {100 * seconds / whole:.2f}" for name, seconds in spent.items())
            print(f"{100 * sum(spent.values()) / whole:.2f} % of {whole:.1f} s ({parts})")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == [WORKER]:
        sys.exit(worker(sys.argv[2:]))
    sys.exit(finish_measuring(PROGRAM, run))
