"""Kill, stop, freeze and cut off workers while headlines flow through a real Kafka, then account for every one.

Writes build/chaos.json, ends with its totals as one line of JSON, and with exit code 1 where the workers broke their
promise: an input lost, out of order within its partition, or with an outcome of the wrong kind, or a worker that was
asked to end and did not end in order. Duplicates are the price of at-least-once and are counted.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice

import msgspec
from rich.console import Console

from kuaixun.worker.demo.headlines import own_headlines, read_headlines
from tests.chaos.account import Account, Outcome, Sent, verdict
from tests.chaos.schedule import Fault, Kind, schedule
from tests.chaos.topics import DEAD_LETTERS, LABELLED, RAW, Inlet, Outlet
from tests.chaos.workers import Worker
from tests.kafka_broker import ROOT, BrokerFailedError, BrokerUnavailableError, KafkaBroker, create_topic, kafka_jars

REPORT = ROOT / "build" / "chaos.json"
LOGS = ROOT / "build" / "chaos"
PARTITIONS = 4
# Longer than a worker's session lasts: the group goes on without the frozen one.
FREEZE_SECONDS = 9.0
OUTAGE_SECONDS = 2.0
STALL_SECONDS = 90.0

console = Console(stderr=True, highlight=False)


def main() -> int:
    """Run the schedule of a seed and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides which fault strikes when (default: 1)")
    parser.add_argument("--inputs", type=int, default=20_000, help="headlines to send (default: 20000)")
    parser.add_argument("--rate", type=float, default=500.0, help="headlines a second (default: 500)")
    parser.add_argument("--faults", type=int, default=8, help="faults among them (default: 8)")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (default: 2)")
    options = parser.parse_args()
    started = time.monotonic()
    faults = schedule(options.seed, options.faults, options.inputs, options.workers)
    try:
        with KafkaBroker(kafka_jars()) as broker:
            crew = [Worker(index, broker.bootstrap, LOGS) for index in range(options.workers)]
            account = run(broker, crew, faults, options.inputs, options.rate)
    except (BrokerUnavailableError, BrokerFailedError) as error:
        console.print(str(error), markup=False)
        return 2
    ended_alone = [code for worker in crew for code in worker.ended_alone]
    ended_in_order = [code for worker in crew for code in worker.ended_in_order]
    totals = account.totals() | {"faults": len(faults), "crashes": len(ended_alone)}
    totals["ended_in_disorder"] = sum(code != 0 for code in ended_in_order)
    report = {
        **totals,
        "options": vars(options),
        "schedule": msgspec.to_builtins(faults),
        "ended_alone": ended_alone,
        "ended_in_order": ended_in_order,
        "seconds": round(time.monotonic() - started, 1),
    }
    REPORT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(totals))
    return verdict(totals)


def run(broker: KafkaBroker, crew: list[Worker], faults: list[Fault], inputs: int, rate: float) -> Account:
    """Send everything while the faults strike, and read until nothing more comes."""
    for topic in (RAW, LABELLED, DEAD_LETTERS):
        create_topic(broker.bootstrap, topic, PARTITIONS)
    account = Account()
    inlet, outlet = Inlet(broker.bootstrap), Outlet(broker.bootstrap, account)
    try:
        for worker in crew:
            worker.start()
        next_at = time.monotonic()
        for number, (value, outcome) in enumerate(islice(payloads(), inputs)):
            while faults and faults[0].after_inputs <= number:
                fault, *faults = faults
                wait_for_flow(account, outlet)
                console.print(f"after {number:,} inputs: {fault.kind} (worker {fault.worker})")
                strike(fault, broker, crew)
            for worker in crew:
                worker.tend()
            key, partition = f"chaos-{number}", number % PARTITIONS
            account.send(key, Sent(number, partition, outcome))
            inlet.send(key, value, partition)
            outlet.read()
            next_at = max(next_at + 1 / rate, time.monotonic() - 1)
            time.sleep(max(0.0, next_at - time.monotonic()))
        inlet.finish()
        console.print(f"all {inputs:,} inputs sent; {len(account.missing):,} have no outcome yet")
        wait_for_outcomes(account, outlet, crew)
    finally:
        for worker in crew:
            worker.terminate()
    outlet.read_to_the_end()
    outlet.close()
    return account


def payloads() -> Iterator[tuple[bytes | None, Outcome]]:
    """The demo's headlines with some that cannot be labelled among them, over and over."""
    events = [line.event for line in read_headlines(own_headlines()) if line.event is not None]
    good: list[tuple[bytes | None, Outcome]] = [(msgspec.json.encode(event), Outcome.LABELLED) for event in events]
    poison: list[tuple[bytes | None, Outcome]] = [
        (b'{"id":"1","title":', Outcome.DEAD_LETTERED),
        (b'{"id":"1","title":"\xb9\xc9"}', Outcome.DEAD_LETTERED),
        (b'{"id":"1","title":"  "}', Outcome.DEAD_LETTERED),
        (None, Outcome.TOMBSTONE),
    ]
    return cycle([*good, *poison])


def strike(fault: Fault, broker: KafkaBroker, crew: list[Worker]) -> None:
    """Let the fault happen. What it stops comes back, at once or when it is due."""
    worker = crew[fault.worker]
    match fault.kind:
        case Kind.KILL:
            worker.kill()
            worker.start()
        case Kind.TERMINATE:
            worker.terminate()
            worker.start()
        case Kind.FREEZE:
            worker.freeze(FREEZE_SECONDS)
        case Kind.OUTAGE:
            broker.stop()
            time.sleep(OUTAGE_SECONDS)
            broker.start()


def wait_for_flow(account: Account, outlet: Outlet) -> None:
    """Wait until the group works again after the last fault: the next one is to interrupt work."""
    until = time.monotonic() + STALL_SECONDS
    while account.missing and not outlet.read(1.0) and time.monotonic() < until:
        pass


def wait_for_outcomes(account: Account, outlet: Outlet, crew: list[Worker]) -> None:
    """Read on until every input has an outcome, or none has come for a long while."""
    missing, since = len(account.missing), time.monotonic()
    while missing and time.monotonic() - since < STALL_SECONDS:
        outlet.read()
        for worker in crew:
            worker.tend()
        if len(account.missing) < missing:
            missing, since = len(account.missing), time.monotonic()


if __name__ == "__main__":
    sys.exit(main())
