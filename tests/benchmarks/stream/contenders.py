"""Who is measured: a process that takes headlines from one topic to another, by the command that starts it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from kuaixun.export.bundle.reader import default_bundle_path
from tests.benchmarks.peers.environments import PEERS, python_of, script_of
from tests.benchmarks.peers.options import ENGINES
from tests.worker.topics import Topics

PASSTHROUGH = "passthrough"
THREADS = ("--threads", "1")


@dataclass(frozen=True, slots=True)
class Contender:
    """`command` starts one process on given topics, in their group, ended by SIGTERM.

    `beside` names the contender that this one is but for one thing, whose cost is the ratio of the two. One that is
    `visited` has its page open and is scraped. `peer` names the environment that it needs; one `on_gpu` needs a GPU.
    """

    name: str
    command: Callable[[Topics], list[str]]
    exactly_once: bool = True  # whether it is measured so too
    shares: bool = True  # whether several processes are measured, which share the partitions
    beside: str = PASSTHROUGH
    visited: bool = False
    peer: str = ""
    on_gpu: bool = False


def _passthrough(topics: Topics) -> list[str]:
    return [
        *(sys.executable, "-m", "tests.benchmarks.stream.passthrough", "--bootstrap", topics.bootstrap),
        *("--input", topics.input, "--output", topics.output, "--group", topics.group, "--delivery", topics.delivery),
    ]


def _passthrough_by_batch(topics: Topics) -> list[str]:
    return [
        *(sys.executable, "-m", "tests.benchmarks.stream.passthrough_by_batch", "--bootstrap", topics.bootstrap),
        *("--input", topics.input, "--output", topics.output, "--group", topics.group),
    ]


def _null(topics: Topics) -> list[str]:
    return [sys.executable, "-m", "tests.benchmarks.stream.null_engine", *topics.flags(), *THREADS]


def _worker(engine: str, *flags: str, device: str = "cpu") -> Callable[[Topics], list[str]]:
    def command(topics: Topics) -> list[str]:
        return [
            *(sys.executable, "-m", "kuaixun.worker.cli", "run", *topics.flags(), *THREADS),
            *("--engine", engine, "--device", device, *flags),
        ]

    return command


def _peer(name: str, engine: str) -> Contender:
    def command(topics: Topics) -> list[str]:
        return [
            *(str(python_of(name)), str(script_of(name)), "--bootstrap", topics.bootstrap),
            *("--input", topics.input, "--output", topics.output, "--group", topics.group),
            *("--bundle", str(default_bundle_path()), "--engine", engine),
        ]

    # Some could do more; what is asked of peers is how fast one of their processes is.
    return Contender(f"{name}-{engine}", command, exactly_once=False, shares=False, peer=name)


CONTENDERS = {
    one.name: one
    for one in (
        Contender(PASSTHROUGH, _passthrough),
        Contender("passthrough-by-batch", _passthrough_by_batch, exactly_once=False, shares=False),
        Contender("null", _null),
        Contender("native", _worker("native")),
        # What metrics, probes and the page cost.
        Contender(
            "native-watched",
            _worker("native", "--health-address", "0"),
            exactly_once=False,
            shares=False,
            beside="native",
            visited=True,
        ),
        Contender("torchscript", _worker("torchscript")),
        Contender(
            "torchscript-cuda",
            _worker("torchscript", device="cuda"),
            exactly_once=False,
            shares=False,
            on_gpu=True,
        ),
        *(_peer(name, engine) for engine in ENGINES for name in PEERS),
    )
}
