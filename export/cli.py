"""`kuaixun-export`: makes, describes, checks and tries out bundles."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from kuaixun import __version__
from kuaixun.export.command_line import OneLineParser, finish
from kuaixun.export.commands import PROGRAM, bench, build, classify, inspect, sign, verify


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Expected errors print one paragraph on standard error."""

    def command() -> int:
        options = build_parser().parse_args(arguments)
        if sys.stdout is None:
            raise OSError(f"standard output is closed, and what {PROGRAM} finds is printed there")
        code: int = options.run(options)
        return code

    return finish(PROGRAM, command)


def build_parser(kind: type[argparse.ArgumentParser] = OneLineParser) -> argparse.ArgumentParser:
    """The options of every command; `kind` says what becomes of a refusal."""
    parser = kind(prog=PROGRAM, description=__doc__)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (build, inspect, verify, sign, bench, classify):
        command.add_to(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
