"""The command `kuaixun-trainer`.

Exit codes: 0 done; 2 an option or a file that cannot be used, or an output that cannot be written; 3 and on a bundle
or an engine that cannot be used, as in kuaixun.export.errors; 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from rich.console import Console

import kuaixun
from kuaixun.export.errors import ExportError
from kuaixun.trainer import distil_command, evaluate_command
from kuaixun.trainer.distil_command import INTERRUPTED
from kuaixun.trainer.errors import TrainerError

BAD_INPUT = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = build_parser().parse_args(arguments)
    console = Console(stderr=True)
    run: Callable[[argparse.Namespace, list[str], Console], int] = options.run
    try:
        return run(options, arguments, console)
    except (TrainerError, ExportError) as error:
        console.print(f"kuaixun-trainer: {error}", markup=False, highlight=False, soft_wrap=True)
        return error.exit_code if isinstance(error, ExportError) else BAD_INPUT
    except OSError as error:
        console.print(f"kuaixun-trainer: {error}", markup=False, highlight=False, soft_wrap=True)
        return BAD_INPUT
    except KeyboardInterrupt:
        console.print("kuaixun-trainer: interrupted before there was anything to keep", highlight=False)
        return INTERRUPTED


def build_parser() -> argparse.ArgumentParser:
    """The options of every command."""
    parser = argparse.ArgumentParser(prog="kuaixun-trainer", description="Train and measure headline classifiers.")
    parser.add_argument("--version", action="version", version=f"kuaixun {kuaixun.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    distil_command.add_to(commands)
    evaluate_command.add_to(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
