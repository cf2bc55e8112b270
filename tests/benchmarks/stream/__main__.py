"""From topic to topic, beside a loop that only moves bytes: `python -m tests.benchmarks.stream [--only NAME …] …`.

On a real Kafka: the one that KUAIXUN_TEST_BOOTSTRAP names, else one started for this run. Prints one table at the end.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from kuaixun.worker.delivery.promise import Guarantee
from tests.benchmarks.real_kafka import real_kafka
from tests.benchmarks.stream import latency
from tests.benchmarks.stream.contenders import CONTENDERS, PASSTHROUGH
from tests.benchmarks.stream.drain import Backlog, StandstillError
from tests.benchmarks.stream.report import Report, environment
from tests.benchmarks.stream.rounds import cases, measure, summed_up
from tests.benchmarks.stream.start import median_start, start


def main() -> None:
    """Measure, write the figures, print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.stream", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS), metavar="NAME")
    parser.add_argument("--messages", type=int, default=1_000_000, help="that wait (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--delivery", type=Guarantee, nargs="+", default=list(Guarantee))
    parser.add_argument("--texts", type=Path, metavar="FILE", help="a headline a line, else the demo's own")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--load", type=float, nargs="*", default=[0.1, 0.5, 0.8], help="shares of the maximum")
    parser.add_argument("--seconds", type=float, default=10, help="of each latency that count (default: %(default)s)")
    parser.add_argument(
        "--broker-warm-seconds", type=float, default=latency.BROKER_WARM_SECONDS, help="before any latency is measured"
    )
    parser.add_argument("--parts", type=Path, metavar="FILE", help="pytest-benchmark's figures, to be kept with these")
    parser.add_argument(
        "--short", action="store_true", help="under two minutes: one process, at least once, no latency"
    )
    options = parser.parse_args()
    if options.short:
        options.processes, options.delivery, options.load = [1], [Guarantee.AT_LEAST_ONCE], []
        options.messages, options.rounds = min(options.messages, 400_000), min(options.rounds, 3)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended with this
    with real_kafka() as bootstrap, Backlog.written(bootstrap, options.messages, options.texts) as backlog:
        report = Report(environment(options.messages, options.texts))
        found = []
        wanted = cases(options.only, options.delivery, options.processes)
        for number, case, drained in measure(backlog, wanted, options.rounds):
            if isinstance(drained, StandstillError):
                report.left_out.append(f"round {number + 1}, {case.delivery}: {drained}")
                print(report.left_out[-1], file=sys.stderr)
                continue
            found.append((number, case, drained))
            print(
                f"round {number + 1}: {case.contender.name}, {case.delivery}, {case.processes} at once: "
                f"{drained.messages_per_second:,.0f} /s, {drained.processor_microseconds:.2f} µs",
                file=sys.stderr,
            )
        report.throughput = summed_up(found)
        names = list(dict.fromkeys((PASSTHROUGH, *options.only)))
        report.starts = [
            median_start([start(CONTENDERS[name], backlog) for _ in range(options.rounds)]) for name in names
        ]
        # All at the same rates, of what one native worker drains at least once. There it shares the processors with the
        # broker, here with whoever writes and reads as well.
        maximum = next(
            (
                row.messages_per_second
                for row in report.throughput
                if (row.contender, row.delivery, row.processes) == ("native", Guarantee.AT_LEAST_ONCE, 1)
            ),
            0.0,
        )
        if rates := [(share, share * maximum) for share in options.load if maximum]:
            latency.warm_up(bootstrap, rates[0][1], options.broker_warm_seconds)
            named = [name for name in names if name in latency.LATENCY_OF]
            runs = []
            for run in latency.measure(named, bootstrap, rates, options.seconds, options.rounds):
                runs.append(run)
                print(
                    f"{run.contender} at {run.share_of_maximum:.0%}: {run.p50_ms} / {run.p99_ms} / {run.p999_ms} ms",
                    file=sys.stderr,
                )
            report.latencies = latency.summed_up(runs)
    if options.parts is not None and options.parts.exists():
        parts = json.loads(options.parts.read_text(encoding="utf-8"))
        report.parts = {name: parts[name] for name in ("rows_per_second", "ratios")}
    if options.json is not None:
        report.write(options.json)
    report.show()


if __name__ == "__main__":
    main()
