"""Where a headline's time goes: `python -m tests.benchmarks.stream.budget [--texts FILE] [--rounds N] [--json FILE]`.

Each step of a worker's turn by itself, on batches of real messages, in one thread, in nanoseconds of its processor time
a headline. The client's own threads, which fetch, compress and send, stand in passthrough's process time; the broker is
in this process here. Each figure is the lower quartile of the rounds, not their median: what comes on top is the
machine's other work.
"""

from __future__ import annotations

import gc
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np
from rich.console import Console

from kuaixun.export import Classifier, open_classifier
from kuaixun.export.bundle.reader import default_bundle_path, open_bundle
from kuaixun.export.command_line import OneLineParser, path_of
from kuaixun.export.figures_file import write_figures
from kuaixun.trainer.commands.values import whole_number
from kuaixun.worker.cli import OBJECTS_PER_COLLECTION
from kuaixun.worker.delivery.flights import Flight
from kuaixun.worker.delivery.promise import Counts
from kuaixun.worker.kafka.read_ahead import ReadAhead
from kuaixun.worker.kafka.sink import KafkaSink
from kuaixun.worker.labelling import BatchLabelling
from kuaixun.worker.labels import Policy
from kuaixun.worker.records import Records
from kuaixun.worker.routing import Routes, Target
from kuaixun.worker.settings import WorkerSettings
from tests.benchmarks.alone import alone
from tests.benchmarks.failures import finish_measuring
from tests.benchmarks.stream.null_engine import NullEngine
from tests.benchmarks.stream.options import expect_writable
from tests.benchmarks.stream.report import plain_table, show_whole
from tests.benchmarks.stream.without_broker import confirm, embedded_backlog, embedded_sink
from tests.benchmarks.worker.backlog import payloads
from tests.worker.topics import PARTITIONS

PROGRAM = "python -m tests.benchmarks.stream.budget"
ROUNDS = 40
QUANTILE = 0.25
FEWEST = 64  # of fewer what a turn takes, whatever it carries, hides what the engine takes
CLASSIFYING = "the engine (in another thread)"
READING_AND_WRITING = "C++: read events, rank scores, write events (in another thread)"


class Budget:
    """Nanoseconds by step, of every batch."""

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self._found: defaultdict[str, list[float]] = defaultdict(list)

    @contextmanager
    def of(self, step: str) -> Iterator[None]:
        """Count what is done within."""
        began = time.thread_time_ns()
        yield
        self.add(step, time.thread_time_ns() - began)

    def add(self, step: str, nanoseconds: int) -> None:
        """A batch has taken so long."""
        self._found[step].append(nanoseconds / self._batch)

    def nanoseconds(self) -> dict[str, float]:
        """A headline's, by step, in the order of a turn."""
        return {step: round(float(np.quantile(values, QUANTILE)), 1) for step, values in self._found.items()}


def measure(values: Sequence[bytes], batch: int, rounds: int) -> dict[str, float]:
    """Nanoseconds a headline by step. `values` are raw events, repeated or cut to a batch's."""
    bundle = open_bundle(default_bundle_path())
    null = Classifier(bundle, NullEngine(len(bundle.manifest.labels)))
    native = open_classifier(engine="native", threads=1)
    made_up = _made_up_nanoseconds(null, batch, rounds)
    budget = Budget(batch)
    with embedded_backlog(values) as backlog, embedded_sink() as sink:
        for _ in range(rounds):
            backlog.write(batch)
            with budget.of("from the client to records"):
                records = backlog.read(batch)
            _turn(budget, records, null, native, sink)
    found = budget.nanoseconds()
    found[READING_AND_WRITING] = round(found[READING_AND_WRITING] - made_up, 1)
    found[CLASSIFYING] = round(found[CLASSIFYING] - found[READING_AND_WRITING], 1)
    return found


def _made_up_nanoseconds(null: Classifier, batch: int, rounds: int) -> float:
    """What the engine that does not look takes itself, to make up its figures."""
    budget, texts = Budget(batch), [""] * batch
    for _ in range(rounds):
        with budget.of("made up"):
            null.engine.classify(texts)
    return budget.nanoseconds()["made up"]


def _turn(budget: Budget, read: Records, null: Classifier, native: Classifier, sink: KafkaSink) -> None:
    """The rest of a turn as the worker's Loop takes it, one step after the other."""
    policy, ahead = Policy(0.0, 3, "budget"), ReadAhead()
    routes = Routes(Target("labelled", PARTITIONS), Target("dead", 1))
    with budget.of("shown ahead, and handed over"):
        ahead.add(read)
        shown = ahead.show(len(read))
        records = ahead.take(len(read))
    with budget.of("to C++"):
        labelling = BatchLabelling(shown, null, policy, received_at=_now(), clock=_now)
    with budget.of(READING_AND_WRITING):
        labelling.classify()
    whole = BatchLabelling(shown, native, policy, received_at=_now(), clock=_now)
    with budget.of(CLASSIFYING):
        whole.classify()
    with budget.of("outcomes"):
        outcomes = labelling.outcomes()
    with budget.of("from outcomes to the client's queue"):
        flight = Flight(records, outcomes)
        sink.send_all(routes.address_all(flight.records, flight.outcomes), flight)
    if flight.boarding:
        raise AssertionError(f"{flight.queued} of {len(records)} headlines are queued")
    budget.add("reports of deliveries", confirm(sink, flight))
    with budget.of("counted"):
        Counts().add(flight.outcomes)


def _now() -> datetime:
    return datetime.now(UTC)


def run(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write the figures. Raises BenchmarkError."""
    parser = OneLineParser(prog=PROGRAM, description=__doc__)
    batch: int = WorkerSettings.model_fields["max_batch"].default
    parser.add_argument("--texts", type=path_of, metavar="FILE", help="a headline a line, else various ones")
    parser.add_argument(
        "--batch",
        type=whole_number(FEWEST, 100_000),
        default=batch,
        metavar="N",
        help="headlines (default: %(default)s)",
    )
    parser.add_argument("--rounds", type=whole_number(1), default=ROUNDS, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--json", type=path_of, metavar="FILE", help="write the figures there")
    options = parser.parse_args(arguments)
    expect_writable(options.json)
    gc.freeze()
    gc.set_threshold(OBJECTS_PER_COLLECTION)  # as the worker does
    with alone():
        found = measure(payloads(options.texts), options.batch, options.rounds)
    table = plain_table("step", "ns a headline,\nlower quartile")
    for step, nanoseconds in found.items():
        table.add_row(step, f"{nanoseconds:.0f}")
    table.add_row("all", f"{sum(found.values()):.0f}")
    show_whole(Console(highlight=False), table)
    if options.json is not None:
        write_figures(options.json, {"batch": options.batch, "rounds": options.rounds, "nanoseconds": found})
    return 0


if __name__ == "__main__":
    raise SystemExit(finish_measuring(PROGRAM, run))
