"""From the moment that a headline was due to its labelled event received, at shares of the worker's own maximum.

That is what it keeps up with beside traffic and reader (`maximum`). What it drains while nobody writes or reads is
up to three quarters as much again on two cores: four fifths of it may be more than any contender, passthrough too, can
take.

What made earlier figures worthless, and what is done about it:

- A broker that has moved only backlogs is slow with small requests, of which it handles hundreds a second here: until
  Java has compiled that path, a minute where the cores are busy, headlines wait up to seconds whatever the load.
  Whoever was measured first had that time, so now the passthrough has it, uncounted (`warm_up`).
- A contender's own first second, on topics that were made a moment ago, is slow as well. Each run has a warm-up, too.
- The clock ran from when the client had the headline. It runs from when it was due (see `traffic`), and one that has
  not arrived when the looking ends counts with the time that it has waited by then.
- One run of each says little: runs are in turn, in rounds, and each figure is the median of the rounds'.
- A maximum of some minutes ago was another machine's, where others use the same processors: a half of it was in one
  minute a third of what the worker could do, and in another all. It is measured anew before each load of each round.

The reader looks at one partition of the output, for on two cores a reader of all would be a fourth of the load.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from confluent_kafka import Consumer, TopicPartition

from tests.benchmarks.stream.contenders import CONTENDERS, PASSTHROUGH, Contender
from tests.benchmarks.stream.drain import started
from tests.benchmarks.stream.progress import DrainError, Progress
from tests.benchmarks.stream.traffic import due_after
from tests.benchmarks.worker.backlog import write_backlog
from tests.benchmarks.worker.own_topics import own_topics
from tests.kafka_broker import NOTICES
from tests.worker.topics import PARTITIONS, Topics

# Peers cannot keep up with the worker's rates, and the rest say nothing more.
LATENCY_OF = (PASSTHROUGH, "null", "native")
WARM_SECONDS = 3.0
KEPT_UP = 0.99  # of what is offered
STRAGGLER_SECONDS = 10.0  # how long after the last headline was sent the missing ones are waited for
QUANTILES = (0.5, 0.99, 0.999)
# What the worker's p99 may be: passthrough's and the delay that batches are given, and a fifth more.
P99_TOLERANCE = 0.2
P999_OF_P99 = 5.0


@dataclass(frozen=True, slots=True)
class Run:
    """One contender at one rate, once; milliseconds.

    `arrived` is the share of the headlines, in the partition looked at, that came while it was looked. `late_p99_ms` is
    the traffic's own: how long after they were due 99 % of its headlines had gone to the client, warm-up included,
    which is part of the latencies.
    """

    contender: str
    share_of_maximum: float
    messages_per_second: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    arrived: float
    late_p99_ms: float


@dataclass(frozen=True, slots=True)
class Latency:
    """Medians of the rounds, whose figures stand in `…_by_round`; `arrived` is the least of them.

    The limits are of what is aimed at: None for the passthrough's p99, and where passthrough was not measured.
    """

    contender: str
    share_of_maximum: float
    messages_per_second: float
    p50_ms: float
    p99_ms: float
    p99_limit_ms: float | None
    p999_ms: float
    p999_limit_ms: float
    arrived: float
    late_p99_ms: float
    messages_per_second_by_round: list[float]
    p50_by_round: list[float]
    p99_by_round: list[float]
    p999_by_round: list[float]


def measure(
    names: Sequence[str],
    bootstrap: str,
    measured_maximum: Callable[[], float],
    shares: Sequence[float],
    seconds: float,
    rounds: int,
) -> Iterator[tuple[str, float, Run | DrainError]]:
    """Rounds over all loads, shares of a maximum in messages per second; every other round backwards.

    Each run comes with its contender's name and its share. Who comes to nothing is told of and left out of that round.
    Raises what `measured_maximum` raises.
    """
    for number in range(rounds):
        forwards = number % 2 == 0
        for share in shares if forwards else reversed(shares):
            rate = share * measured_maximum()
            for name in names if forwards else reversed(names):
                try:
                    yield name, share, run(CONTENDERS[name], bootstrap, share, rate, seconds)
                except DrainError as error:
                    yield name, share, error


def warm_up(bootstrap: str, rate: float, seconds: float) -> None:
    """Let the broker learn to handle small requests: see the module's words."""
    run(CONTENDERS[PASSTHROUGH], bootstrap, 0.0, rate, seconds, warm_seconds=0.0)


def run(
    contender: Contender,
    bootstrap: str,
    share: float,
    rate: float,
    seconds: float,
    warm_seconds: float = WARM_SECONDS,
) -> Run:
    """One contender, on topics of its own, under traffic for `seconds` that count after `warm_seconds` that do not."""
    seen = _under_traffic(contender, bootstrap, rate, warm_seconds + seconds)
    expected = np.array([due_after(rate, number) for number in _looked_at(rate, warm_seconds + seconds)])
    milliseconds = waited_ms(expected, seen.due, seen.at, seen.ended_at, int(warm_seconds * 1e9))
    p50, p99, p999 = (round(float(value), 2) for value in np.quantile(milliseconds, QUANTILES))
    return Run(
        contender=contender.name,
        share_of_maximum=share,
        messages_per_second=round(rate),
        p50_ms=p50,
        p99_ms=p99,
        p999_ms=p999,
        arrived=round(len(seen.due) / len(expected), 4),
        late_p99_ms=round(seen.late_p99_ms, 2),
    )


def maximum(contender: Contender, bootstrap: str, drained: float, seconds: float) -> float:
    """The most that a contender keeps up with beside traffic and reader, in messages per second.

    Known as sustainable throughput (Karimov et al., Benchmarking Distributed Stream Data Processing Systems, ICDE
    2018). What it drains while nobody else takes of its processors is offered first. That is too much where they share
    them, so the second offer lies halfway between it and what came out; nothing above `drained` is ever offered. Raises
    DrainError where nothing comes out in time.
    """
    most = sustained(contender, bootstrap, drained, seconds)
    if most < KEPT_UP * drained:
        most = max(most, sustained(contender, bootstrap, (drained + most) / 2, seconds))
    if not most:
        raise DrainError(f"{contender.name}: nothing comes out in {seconds:g} s of {drained:,.0f} headlines a second")
    return most


def sustained(
    contender: Contender, bootstrap: str, rate: float, seconds: float, warm_seconds: float = WARM_SECONDS
) -> float:
    """What comes out of a contender that is offered `rate`, in messages per second.

    Where that is more than it can take this is what it keeps up with beside traffic and reader, and a little less, for
    what it leaves costs the traffic and the broker as much.
    """
    seen = _under_traffic(contender, bootstrap, rate, warm_seconds + seconds, straggler_seconds=0)
    counted = (seen.at >= warm_seconds * 1e9) & (seen.at < (warm_seconds + seconds) * 1e9)
    return int(counted.sum()) * PARTITIONS / seconds


@dataclass(frozen=True, slots=True)
class _Seen:
    """What came of traffic: when each headline was `due` and when it was seen, in nanoseconds since the first was due.

    So is `ended_at`, when the looking ended; for `late_p99_ms` see Run.
    """

    due: array[int]
    at: np.ndarray[Any, Any]
    ended_at: int
    late_p99_ms: float


def _under_traffic(
    contender: Contender, bootstrap: str, rate: float, seconds: float, straggler_seconds: float = STRAGGLER_SECONDS
) -> _Seen:
    with own_topics(bootstrap) as topics:
        write_backlog(topics, PARTITIONS)
        progress = Progress(topics)
        with started(contender, topics, 1) as members:
            progress.wait_for(PARTITIONS, members)
            progress.close()
            command = [sys.executable, "-m", "tests.benchmarks.stream.traffic", bootstrap, topics.input]
            traffic = subprocess.Popen([*command, str(rate), str(seconds)], stdout=subprocess.PIPE, text=True)
            try:
                due, seen, ended_at = _watched(topics, traffic, len(_looked_at(rate, seconds)), straggler_seconds)
                printed = traffic.communicate()[0]
            finally:
                traffic.kill()
                traffic.wait()
    if traffic.returncode:
        raise DrainError("the traffic ended before its time; what it says stands above")
    said = json.loads(printed)
    began = said["began_nanoseconds"]
    return _Seen(due, np.asarray(seen, np.int64) - began, ended_at - began, said["late_p99_ms"])


def _looked_at(rate: float, seconds: float) -> range:
    """The numbers of the headlines that come to the partition looked at."""
    return range(0, int(rate * seconds), PARTITIONS)


def waited_ms(
    expected: np.ndarray[Any, Any],
    due: Sequence[int],
    seen: Sequence[int] | np.ndarray[Any, Any],
    ended_at: int,
    from_: int,
) -> np.ndarray[Any, Any]:
    """How long each headline that was due from a moment on waited, in milliseconds.

    Every argument is in nanoseconds since the first was due. `due` and `seen` are of those that arrived. Those of
    `expected` that did not have waited until `ended_at`.
    """
    arrived, seen_at = np.asarray(due, np.int64), np.asarray(seen, np.int64)
    missing = np.setdiff1d(expected, arrived)
    all_due = np.concatenate([arrived, missing])  # (headlines,)
    until = np.concatenate([seen_at, np.full(len(missing), ended_at)])  # (headlines,)
    waited: np.ndarray[Any, Any] = (until - all_due)[all_due >= from_] / 1e6
    return waited


def summed_up(runs: Sequence[Run], max_delay_ms: float) -> list[Latency]:
    """One row a contender and share, in the order of the first round; the delay is the one that workers are given."""
    of: dict[tuple[str, float], list[Run]] = defaultdict(list)
    for one in runs:
        of[one.contender, one.share_of_maximum].append(one)
    return [_latency(rounds, of.get((PASSTHROUGH, share)), max_delay_ms) for (_, share), rounds in of.items()]


def _latency(rounds: Sequence[Run], passthrough: Sequence[Run] | None, max_delay_ms: float) -> Latency:
    first = rounds[0]
    p99_ms = statistics.median(one.p99_ms for one in rounds)
    limit = None
    if passthrough and first.contender != PASSTHROUGH:
        beside = statistics.median(one.p99_ms for one in passthrough)
        limit = round((beside + max_delay_ms) * (1 + P99_TOLERANCE), 2)
    return Latency(
        contender=first.contender,
        share_of_maximum=first.share_of_maximum,
        messages_per_second=statistics.median(one.messages_per_second for one in rounds),
        p50_ms=statistics.median(one.p50_ms for one in rounds),
        p99_ms=p99_ms,
        p99_limit_ms=limit,
        p999_ms=statistics.median(one.p999_ms for one in rounds),
        p999_limit_ms=round(P999_OF_P99 * p99_ms, 2),
        arrived=min(one.arrived for one in rounds),
        late_p99_ms=statistics.median(one.late_p99_ms for one in rounds),
        messages_per_second_by_round=[one.messages_per_second for one in rounds],
        p50_by_round=[one.p50_ms for one in rounds],
        p99_by_round=[one.p99_ms for one in rounds],
        p999_by_round=[one.p999_ms for one in rounds],
    )


def _watched(
    topics: Topics, traffic: subprocess.Popen[str], expected: int, straggler_seconds: float
) -> tuple[array[int], array[int], int]:
    """The keys of what arrives and when it was seen, and when the looking ended; all in nanoseconds."""
    reader = Consumer(
        {"bootstrap.servers": topics.bootstrap, "group.id": f"{topics.group}-reader", "log_level": NOTICES}
    )
    reader.assign([TopicPartition(topics.output, 0, 1)])  # behind the one of the start
    keys, seen = array("q"), array("q")
    deadline = float("inf")
    while len(keys) < expected and time.monotonic() < deadline:
        if deadline == float("inf") and traffic.poll() is not None:
            deadline = time.monotonic() + straggler_seconds
        messages = reader.consume(1, 0.1)
        messages += reader.consume(10_000, 0)
        now = time.monotonic_ns()
        for message in messages:
            if (error := message.error()) is not None:
                raise DrainError(f"what is labelled cannot be read: {error.str()}")
            keys.append(int(message.key() or 0))
            seen.append(now)
    ended_at = time.monotonic_ns()
    reader.close()
    return keys, seen, ended_at
