"""What every peer is told, in the same words: where to read, where to write, and which student to ask."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ENGINES = ("traced", "native")


@dataclass(frozen=True, slots=True)
class Options:
    """`engine` is traced (one headline at a time, by torch) or native (batches, by the C++ engine)."""

    bootstrap: str
    input: str
    output: str
    group: str
    bundle: Path
    engine: str


def read_options(arguments: Sequence[str] | None = None) -> Options:
    """The command line's, or those given."""
    parser = argparse.ArgumentParser(description="Label headlines until SIGTERM.")
    parser.add_argument("--bootstrap", required=True, metavar="HOST:PORT")
    parser.add_argument("--input", required=True, metavar="TOPIC")
    parser.add_argument("--output", required=True, metavar="TOPIC")
    parser.add_argument("--group", required=True)
    parser.add_argument("--bundle", required=True, type=Path, metavar="DIR")
    parser.add_argument("--engine", required=True, choices=ENGINES)
    return Options(**vars(parser.parse_args(arguments)))
