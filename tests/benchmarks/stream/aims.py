"""What the worker is to reach beside the yardstick and the peers, and what a run says of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.benchmarks.peers.environments import PEERS
from tests.benchmarks.stream.contenders import PASSTHROUGH
from tests.benchmarks.stream.latency import Latency
from tests.benchmarks.stream.rounds import Throughput, alone_at_least_once
from tests.benchmarks.stream.start import Start

LEAST_SHARES = {"null": 0.75, "native": 0.65}  # of passthrough's throughput
LEAST_TIMES_PEERS = {"traced": 100.0, "native": 2.5}  # the best peer's, by what it labels with
MOST_TIMES_START = 2.0  # passthrough's
LOAD_OF_P99 = 0.5  # of what the worker keeps up with
WORKER = "native"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A figure of a run and what it is to be: no less than `limit`, or no more where `is_most`."""

    what: str
    figure: float
    limit: float
    is_most: bool = False

    @property
    def is_kept(self) -> bool:
        """Whether it is as it is to be."""
        return self.figure <= self.limit if self.is_most else self.figure >= self.limit

    @property
    def told(self) -> str:
        """In a line."""
        bound = "most" if self.is_most else "least"
        verdict = "kept" if self.is_kept else "missed"
        return f"{self.what}: {significant(self.figure)}, at {bound} {significant(self.limit)}: {verdict}"


def significant(figure: float) -> str:
    """Three digits, or all before the point.

    >>> significant(0.7351), significant(2.264), significant(1234.5)
    ('0.735', '2.26', '1235')
    """
    return f"{figure:.0f}" if figure >= 1000 else f"{figure:.3g}"


def verdicts(
    throughput: Sequence[Throughput], starts: Sequence[Start], latencies: Sequence[Latency] = ()
) -> tuple[Verdict, ...]:
    """What can be said of this run; of peers and starts, which are of one process, at least once, of such a worker."""
    return (
        *_shares(throughput),
        *_peers(times_peers(throughput)),
        *_latencies(latencies),
        *_starts(starts),
    )


def times_peers(throughput: Sequence[Throughput]) -> dict[str, float]:
    """How many times the throughput of each peer the worker has, by contender; empty without a worker."""
    alone = {name: row.messages_per_second for name, row in alone_at_least_once(throughput).items()}
    if WORKER not in alone:
        return {}
    return {name: alone[WORKER] / rate for name, rate in alone.items() if name.rpartition("-")[0] in PEERS}


def _shares(throughput: Sequence[Throughput]) -> Iterator[Verdict]:
    for row in throughput:
        if (least := LEAST_SHARES.get(row.contender)) is not None:
            what = f"{row.contender}, {row.delivery} × {row.processes}, of passthrough's throughput"
            yield Verdict(what, row.share_of_passthrough, least)


def _peers(times: dict[str, float]) -> Iterator[Verdict]:
    for engine, least in LEAST_TIMES_PEERS.items():
        found = {name: many for name, many in times.items() if name.endswith(f"-{engine}")}
        if found:
            best = min(found, key=lambda name: found[name])
            yield Verdict(f"{WORKER}, times {best}'s throughput", found[best], least)


def _latencies(latencies: Sequence[Latency]) -> Iterator[Verdict]:
    """p99 is held against passthrough's at one load, p99.9 against p99 at each."""
    for one in latencies:
        if one.contender != WORKER:
            continue
        load = f"{one.share_of_maximum:.0%} of what it keeps up with"
        if one.p99_limit_ms is not None and one.share_of_maximum == LOAD_OF_P99:
            yield Verdict(f"{WORKER}, p99 in ms at {load}", one.p99_ms, one.p99_limit_ms, is_most=True)
        yield Verdict(f"{WORKER}, p99.9 in ms at {load}", one.p999_ms, one.p999_limit_ms, is_most=True)


def _starts(starts: Sequence[Start]) -> Iterator[Verdict]:
    seconds = {one.contender: one.seconds for one in starts}
    if WORKER in seconds and PASSTHROUGH in seconds:
        times = seconds[WORKER] / seconds[PASSTHROUGH]
        yield Verdict(f"{WORKER}, times passthrough's start", times, MOST_TIMES_START, is_most=True)
