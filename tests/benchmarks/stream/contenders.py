"""Who is measured: a process that takes headlines from one topic to another, by the command that starts it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from tests.worker.topics import Topics

PASSTHROUGH = "passthrough"
THREADS = ("--threads", "1")


@dataclass(frozen=True, slots=True)
class Contender:
    """`command` starts one process on given topics, in their group, ended by SIGTERM."""

    name: str
    command: Callable[[Topics], list[str]]
    exactly_once: bool = True  # whether it can


def _passthrough(topics: Topics) -> list[str]:
    return [
        *(sys.executable, "-m", "tests.benchmarks.stream.passthrough", "--bootstrap", topics.bootstrap),
        *("--input", topics.input, "--output", topics.output, "--group", topics.group, "--delivery", topics.delivery),
    ]


def _null(topics: Topics) -> list[str]:
    return [sys.executable, "-m", "tests.benchmarks.stream.null_engine", *topics.flags(), *THREADS]


def _worker(engine: str) -> Callable[[Topics], list[str]]:
    def command(topics: Topics) -> list[str]:
        return [
            *(sys.executable, "-m", "kuaixun.worker.cli", "run", *topics.flags(), *THREADS),
            *("--engine", engine, "--device", "cpu"),
        ]

    return command


CONTENDERS = {
    one.name: one
    for one in (
        Contender(PASSTHROUGH, _passthrough),
        Contender("null", _null),
        Contender("native", _worker("native")),
        Contender("torchscript", _worker("torchscript")),
    )
}
