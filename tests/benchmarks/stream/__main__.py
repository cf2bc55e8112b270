"""From topic to topic, beside a loop that only moves bytes: `python -m tests.benchmarks.stream [--only NAME …] …`.

On a real Kafka: the one that KUAIXUN_TEST_BOOTSTRAP names, else one started for this run. Prints one table at the end.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kuaixun.worker.delivery.promise import Guarantee
from tests.benchmarks.stream.contenders import CONTENDERS
from tests.benchmarks.stream.report import Report, environment
from tests.benchmarks.stream.rounds import cases, measure, summed_up
from tests.benchmarks.worker.backlog import write_backlog
from tests.kafka_broker import KafkaBroker, kafka_jars
from tests.worker.topics import Topics


@contextmanager
def _kafka() -> Iterator[str]:
    if named := os.environ.get("KUAIXUN_TEST_BOOTSTRAP"):
        yield named
        return
    with KafkaBroker(kafka_jars()) as broker:
        yield broker.bootstrap


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
    options = parser.parse_args()
    with _kafka() as bootstrap:
        report = Report(environment(options.messages, options.texts))
        backlog = Topics.create(bootstrap, real=True)
        write_backlog(backlog, options.messages, options.texts)
        found = []
        wanted = cases(options.only, options.delivery, options.processes)
        for number, case, drained in measure(backlog, wanted, options.messages, options.rounds):
            found.append((number, case, drained))
            print(
                f"round {number + 1}: {case.contender.name}, {case.delivery}, {case.processes} at once: "
                f"{drained.messages_per_second:,.0f} /s, {drained.processor_microseconds:.2f} µs",
                file=sys.stderr,
            )
        report.throughput = summed_up(found)
    if options.json is not None:
        report.write(options.json)
    report.show()


if __name__ == "__main__":
    main()
