"""Peak memory of a worker that drains a backlog, against an idle one and the buffers that are set.

What must hold: peak ≤ 1.5 × idle + buffers, however many messages wait.
"""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, replace

from kuaixun.worker.delivery.promise import Guarantee
from kuaixun.worker.kafka.client_defaults import CONSUMER_DEFAULTS, PRODUCER_DEFAULTS
from tests.benchmarks.worker.backlog import write_backlog
from tests.benchmarks.worker.own_topics import own_topics
from tests.benchmarks.worker.processes import ended, worker
from tests.worker.topics import Topics

BUFFERS_KILOBYTES = int(CONSUMER_DEFAULTS["queued.max.messages.kbytes"]) + int(
    PRODUCER_DEFAULTS["queue.buffering.max.kbytes"]
)
MOST_GROWTH = 1.5
SETTLE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Memory:
    """One worker's; `of_the_limit` is its peak as a share of what it may take."""

    delivery: str
    messages: int
    seconds: float
    idle_megabytes: float
    buffers_megabytes: float
    peak_megabytes: float
    of_the_limit: float


def measure(bootstrap: str, messages: int) -> list[Memory]:
    """Both guarantees, one after the other, on the same backlog."""
    idle = {delivery: _idle(bootstrap, delivery) for delivery in Guarantee}
    with own_topics(bootstrap) as backlog:
        write_backlog(backlog, messages)
        return [_drain(backlog, delivery, messages, idle[delivery]) for delivery in Guarantee]


def _idle(bootstrap: str, delivery: Guarantee) -> int:
    with own_topics(bootstrap, delivery=delivery) as topics, ended(worker(topics)) as one:
        one.wait_for_share()
        time.sleep(SETTLE_SECONDS)
        return one.kilobytes("VmRSS")


def _drain(backlog: Topics, delivery: Guarantee, messages: int, idle_kilobytes: int) -> Memory:
    with own_topics(backlog.bootstrap, delivery=delivery) as own:
        topics = replace(own, input=backlog.input)
        with ended(worker(topics)) as one:
            one.wait_for_share()
            started = time.monotonic()
            while sum(topics.committed()) < messages:
                if one.process.poll() is not None:
                    raise RuntimeError(f"the worker ended: {''.join(one.said)}")
                time.sleep(0.5)
            seconds = time.monotonic() - started
            peak_kilobytes = one.kilobytes("VmHWM")
            one.end(signal.SIGTERM)
    limit_kilobytes = MOST_GROWTH * idle_kilobytes + BUFFERS_KILOBYTES
    return Memory(
        delivery=delivery,
        messages=messages,
        seconds=round(seconds, 1),
        idle_megabytes=round(idle_kilobytes / 1024, 1),
        buffers_megabytes=BUFFERS_KILOBYTES / 1024,
        peak_megabytes=round(peak_kilobytes / 1024, 1),
        of_the_limit=round(peak_kilobytes / limit_kilobytes, 3),
    )
