"""Kill, stop, freeze, cut off and replace workers while headlines flow through a real Kafka, then account for each one.

Under both guarantees, one after the other. Writes build/chaos.json, ends with the sums as one line of JSON, and with
exit code 1 where a promise was broken: an input lost, out of order within its key, with an outcome of the wrong kind or
that is not of all of it, or with another label than `kuaixun-export classify` gives it; a duplicate under exactly-once,
or under at-least-once one that no fault explains; a model swapped and not taken up; a worker that crashed, or that was
asked to end and did not end in order. A fault explains duplicates of what was not committed when it struck, in the
partitions of the worker that it struck, until that is whole again. Exit code 1, too, where the run proves too little:
faults had no effect, or were so dense that they explain almost anything.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import signal
import sys
import time
from collections import Counter
from typing import Any

import msgspec
from rich.console import Console

from kuaixun.worker.delivery.promise import Guarantee
from kuaixun.worker.kafka.membership import GroupProtocol
from tests.chaos.inputs import Inputs
from tests.chaos.models import Models
from tests.chaos.run import Found, Plan, run
from tests.chaos.schedule import Fault, Kind, schedule
from tests.chaos.screen import Screen, faults_table, table
from tests.chaos.strike import Strike
from tests.chaos.topics import InputRefusedError
from tests.chaos.verdict import Totals, broken, summed, totals_of, unproven
from tests.kafka_broker import ROOT, BrokerFailedError, BrokerUnavailableError, kafka_jars

REPORT = ROOT / "build" / "chaos.json"
LOGS = ROOT / "build" / "chaos"


def main() -> int:
    """Run the schedule of a seed under each guarantee and report."""
    options = _options()
    console = Console(stderr=True, highlight=False)
    # As Ctrl-C: workers and broker are processes of their own, and are to end with this one.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    guarantees = [options.delivery] if options.delivery else list(Guarantee)
    faults = schedule(options.seed, options.faults, options.inputs, options.workers, options.kind or tuple(Kind))
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    totals, strikes, reports = dict[str, Totals](), dict[str, list[Strike]](), dict[str, Any]()
    try:
        jars = kafka_jars()
        inputs, models = Inputs(), Models(LOGS)
        console.print(f"asking kuaixun-export classify for the labels of {options.inputs:,} headlines")
        models.classify(inputs.titles(options.inputs))
        for guarantee in guarantees:
            started = time.monotonic()
            plan = Plan(
                guarantee=guarantee,
                protocol=options.group_protocol,
                inputs=options.inputs,
                rate=options.rate,
                workers=options.workers,
                nameless=options.nameless,
                faults=faults,
            )
            logs = LOGS / guarantee
            logs.mkdir()
            with Screen(console, guarantee, options.inputs) as screen:
                found = run(plan, jars, inputs, models, logs, screen)
            totals[guarantee] = totals_of(found, len(faults))
            strikes[guarantee] = found.strikes
            reports[guarantee] = totals[guarantee] | _details(found, time.monotonic() - started)
            _write_report(options, faults, reports)
    except (BrokerUnavailableError, BrokerFailedError, InputRefusedError) as error:
        console.print(str(error), markup=False, soft_wrap=True)
        return 2
    except KeyboardInterrupt:
        console.print("interrupted")
        return 130
    console.print(table(totals), faults_table(strikes))
    for guarantee in guarantees:
        for example in reports[guarantee]["examples"]:
            console.print(f"{guarantee}: {example}", markup=False, soft_wrap=True)
        if skipped := reports[guarantee]["markers_skipped_by_the_broker"]:
            console.print(
                f"{guarantee}: Kafka itself left {skipped} transactions half undone while it started, which shows as "
                "duplicates that no client can prevent; run it again on a machine that is less busy",
                soft_wrap=True,
            )
    sums = summed(totals)
    kept = "THE RUN PROVES TOO LITTLE" if unproven(totals) else "every promise kept"
    console.print(
        f"{'A PROMISE IS BROKEN' if broken(totals) else kept}: {sums['sent']:,} inputs, {sums['faults']} faults, "
        f"seed {options.seed}; a fault would explain a repeat of {sums['inputs_in_windows'] / sums['sent']:.0%} of the "
        "inputs, and nothing one of the others; "
        f"the report is {REPORT.relative_to(ROOT)}",
        soft_wrap=True,
    )
    print(json.dumps({**sums, **totals}))
    return int(broken(totals) or unproven(totals))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides which fault strikes when (default: 1)")
    parser.add_argument("--inputs", type=int, default=24_000, help="headlines under each guarantee (default: 24000)")
    parser.add_argument(
        "--rate", type=float, default=250.0, help="headlines a second while all is whole (default: 250)"
    )
    parser.add_argument("--faults", type=int, default=12, help="faults among them (default: 12, one of each kind)")
    parser.add_argument(
        "--kind", type=Kind, choices=list(Kind), action="append", help="faults of this kind alone; may be repeated"
    )
    parser.add_argument("--workers", type=int, default=2, help="worker processes at first (default: 2)")
    parser.add_argument("--delivery", type=Guarantee, choices=list(Guarantee), help="one guarantee alone")
    parser.add_argument("--nameless", action="store_true", help="workers without a transactional id of their own")
    parser.add_argument(
        "--group-protocol",
        type=GroupProtocol,
        choices=list(GroupProtocol),
        default=GroupProtocol.COOPERATIVE,
        help="how the workers share partitions (default: cooperative)",
    )
    return parser.parse_args()


def _details(found: Found, seconds: float) -> dict[str, Any]:
    """What the figures of a run do not say."""
    return {
        "labelled_by_model": found.account.models,
        "seconds": round(seconds, 1),
        "exit_codes_alone": _counted(found.ended_alone),
        "exit_codes_asked": _counted(found.ended_in_order),
        "exit_codes_asked_while_cut_off": _counted(found.ended_cut_off),
        "markers_skipped_by_the_broker": found.markers_skipped_by_the_broker,
        "first_unexplained": [repeat._asdict() for repeat in found.attribution.unexplained[:5]],
        "first_lost": found.account.lost(5),
        "examples": found.account.examples,
        "struck": [_struck(strike) for strike in found.strikes],
    }


def _struck(strike: Strike) -> dict[str, Any]:
    """When it struck whom, and what it explains."""
    window = None
    if strike.window is not None:
        window = {
            "partitions": sorted(strike.window.partitions),
            "committed": strike.window.committed,
            "whole_seconds": _or_none(strike.window.whole_seconds),
            "end_seconds": _or_none(strike.window.end_seconds),
            "repeats": strike.window.repeats,
        }
    return {
        "kind": strike.fault.kind,
        "worker": strike.worker,
        "seconds": round(strike.at_seconds, 1),
        "took_effect": strike.took_effect(),
        "window": window,
    }


def _or_none(seconds: float) -> float | None:
    """None where the run ended before."""
    return round(seconds, 1) if math.isfinite(seconds) else None


def _counted(codes: list[int]) -> dict[str, int]:
    return {str(code): count for code, count in sorted(Counter(codes).items())}


def _write_report(options: argparse.Namespace, faults: list[Fault], reports: dict[str, Any]) -> None:
    """After each guarantee, so that what is found is kept."""
    report = {"options": vars(options), **reports, "schedule": [msgspec.to_builtins(fault) for fault in faults]}
    REPORT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
