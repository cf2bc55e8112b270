"""From topic to topic, beside a loop that only moves bytes: `python -m tests.benchmarks.stream [--only NAME …] …`.

On a real Kafka: the one that KUAIXUN_TEST_BOOTSTRAP names, else one started for this run; with `--embedded` on
librdkafka's own. Prints one table at the end, or when it is interrupted, of what was measured by then.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace

from confluent_kafka import KafkaException

from kuaixun.worker.delivery.promise import Guarantee
from tests.benchmarks.alone import alone
from tests.benchmarks.brokers import embedded_kafka, real_kafka
from tests.benchmarks.failures import FAILED_EXIT_CODE, BenchmarkError, finish_measuring
from tests.benchmarks.gpu import gpu_name
from tests.benchmarks.peers.environments import PeerUnavailableError, python_of
from tests.benchmarks.stream import latency, start
from tests.benchmarks.stream.contenders import CONTENDERS, PASSTHROUGH
from tests.benchmarks.stream.drain import Backlog, Drained, drain
from tests.benchmarks.stream.options import LOADED_BY, Options, read_options
from tests.benchmarks.stream.progress import DrainError
from tests.benchmarks.stream.report import Report, environment, worker_settings
from tests.benchmarks.stream.rounds import Case, cases, measure, summed_up


def run(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write the figures; what was measured before a failure too. Raises BenchmarkError.

    Fails where a contender that can be measured here came to no figure at all.
    """
    options = read_options(arguments)
    with alone():
        options, left_out = without_those_that_cannot_run(options)
        report = Report(
            environment(options.messages, options.texts, options.only, embedded=options.embedded),
            left_out=left_out,
            rounds=options.rounds,
            embedded=options.embedded,
        )
        try:
            with (
                embedded_kafka() if options.embedded else real_kafka() as bootstrap,
                Backlog.written(bootstrap, options.messages, options.texts) as backlog,
            ):
                measure_throughput(options, backlog, report)
                measure_starts(options, backlog, report)
                if options.loads:
                    measure_latencies(options, bootstrap, backlog, report)
        except (BenchmarkError, KeyboardInterrupt) as error:
            report.left_out.append(f"all that follows: {str(error) or 'interrupted'}")
            raise
        except (KafkaException, TimeoutError) as error:
            why = f"the broker does not answer: {str(error) or 'it took too long'}"
            report.left_out.append(f"all that follows: {why}")
            raise BenchmarkError(why) from None
        finally:
            if report.throughput:
                told(options, report)
    return 0 if {row.contender for row in report.throughput}.issuperset(options.only) else FAILED_EXIT_CODE


def without_those_that_cannot_run(options: Options) -> tuple[Options, list[str]]:
    """Without the contenders that need a GPU or a peer's environment that cannot be had, and why each is left out."""
    left_out: list[str] = []
    gone: dict[str, str] = {}
    wanted = [CONTENDERS[name] for name in options.only]
    for peer in dict.fromkeys(one.peer for one in wanted if one.peer):
        try:
            python_of(peer)
        except PeerUnavailableError as error:
            gone.update(dict.fromkeys((one.name for one in wanted if one.peer == peer), f"{peer}: {error}"))
    if any(one.on_gpu for one in wanted) and not gpu_name():
        gone.update({one.name: f"{one.name}: there is no GPU here that torch can use" for one in wanted if one.on_gpu})
    for why in dict.fromkeys(gone.values()):
        left_out.append(why)
        say(why)
    return replace(options, only=[name for name in options.only if name not in gone]), left_out


def measure_throughput(options: Options, backlog: Backlog, report: Report) -> None:
    """In rounds, into the report."""
    wanted = cases(options.only, options.delivery, options.processes)
    found: list[tuple[int, Case, Drained]] = []
    warm_seconds = options.broker_warm_seconds
    say(f"{len(wanted)} cases, {options.rounds} rounds, after {warm_seconds:g} s that do not count and warm the broker")
    for place, (number, case, drained) in enumerate(measure(backlog, wanted, options.rounds, warm_seconds)):
        where = f"round {number + 1} of {options.rounds}, {place % len(wanted) + 1} of {len(wanted)}"
        what = f"{case.contender.name}, {case.delivery}, {case.processes} at once"
        if isinstance(drained, DrainError):
            report.left_out.append(f"round {number + 1}, {case.delivery}: {drained}")
            say(f"{where}: {what}: {drained}")
            continue
        found.append((number, case, drained))
        report.throughput = summed_up(found)
        rate, cost = f"{drained.messages_per_second:,.0f} /s", f"{drained.processor_microseconds:.2f} µs"
        say(f"{where}: {what}: {rate}, {cost}")


def measure_starts(options: Options, backlog: Backlog, report: Report) -> None:
    """In rounds, into the report."""
    names = list(dict.fromkeys((PASSTHROUGH, *options.only)))
    found: list[start.Start] = []
    for number, name, one in start.measure(names, backlog, options.rounds):
        where = f"round {number + 1} of {options.rounds}: start of {name}"
        if isinstance(one, DrainError):
            report.left_out.append(f"round {number + 1}, start of {name}: {one}")
            say(f"{where}: {one}")
            continue
        found.append(one)
        report.starts = start.summed_up(found)
        say(f"{where}: {one.seconds:.2f} s")


def measure_latencies(options: Options, bootstrap: str, backlog: Backlog, report: Report) -> None:
    """All of a load and round at one rate, a share of what a native worker kept up with just before, at least once."""

    def maximum() -> float:
        worker = CONTENDERS[LOADED_BY]
        drained = drain(worker, backlog, Guarantee.AT_LEAST_ONCE, 1).messages_per_second
        rate = latency.maximum(worker, bootstrap, drained, options.seconds)
        say(f"{LOADED_BY} drains {drained:,.0f} /s and keeps up with {rate:,.0f}, of which the next load is a share")
        return rate

    names = [name for name in dict.fromkeys((PASSTHROUGH, *options.only)) if name in latency.LATENCY_OF]
    if options.broker_warm_seconds:
        say(f"latency: {options.broker_warm_seconds:g} s of {PASSTHROUGH} under traffic that do not count")
        latency.warm_up(bootstrap, statistics.median(options.loads) * maximum(), options.broker_warm_seconds)
    whole = options.rounds * len(names) * len(options.loads)
    runs, max_delay_ms = [], worker_settings().max_delay_ms
    measured = latency.measure(names, bootstrap, maximum, options.loads, options.seconds, options.rounds)
    for place, (name, load, one) in enumerate(measured, start=1):
        where = f"{place} of {whole}: {name} at {load:.0%}"
        if isinstance(one, DrainError):
            report.left_out.append(f"latency of {name} at {load:.0%}: {one}")
            say(f"{where}: {one}")
            continue
        runs.append(one)
        report.latencies = latency.summed_up(runs, max_delay_ms)
        say(f"{where}: {one.p50_ms} / {one.p99_ms} / {one.p999_ms} ms")


def told(options: Options, report: Report) -> None:
    """Print first: what cannot be written is read at least."""
    report.parts = options.parts
    report.show()
    if options.json is not None:
        report.write(options.json)


def say(line: str) -> None:
    """Tell whoever waits."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(finish_measuring("python -m tests.benchmarks.stream", run))
