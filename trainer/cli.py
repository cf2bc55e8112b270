"""The command `kuaixun-trainer`.

Exit codes: 0 done; 1 `retrain` keeps the champion; 2 an option or a file that cannot be used, or an
output that cannot be written; 3 and on a bundle or an engine that cannot be used, as in kuaixun.export.errors; 130
interrupted, by Ctrl-C or by SIGTERM. `run` ends with the code of the stage that failed.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence

from kuaixun import __version__
from kuaixun.export.command_line import INTERRUPTED_EXIT_CODE, USAGE_EXIT_CODE, OneLineParser, finish
from kuaixun.trainer.errors import TrainerError
from kuaixun.trainer.interrupts import terminations_as_interrupts

PROGRAM = "kuaixun-trainer"
# What the extra `trainer` installs and every command imports: `kuaixun-worker` may live in an environment without.
_EXTRA = ("torch", "sklearn", "transformers")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)

    def command() -> int:
        try:
            with terminations_as_interrupts():
                return _run(arguments)
        except TrainerError as error:
            print(f"{PROGRAM}: {error}", file=sys.stderr)
            return USAGE_EXIT_CODE
        except KeyboardInterrupt:
            print(f"{PROGRAM}: interrupted; nothing is kept but what is told above", file=sys.stderr)
            return INTERRUPTED_EXIT_CODE

    return finish(PROGRAM, command)


def _run(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        print(f"{PROGRAM} {__version__}")
        return 0
    if missing := [name for name in _EXTRA if importlib.util.find_spec(name) is None]:
        raise TrainerError(
            f"training needs {', '.join(missing)}, which this environment has not: pip install 'kuaixun[trainer]'"
        )
    options = build_parser().parse_args(arguments)
    from rich.console import Console

    code: int = options.run(options, arguments, Console(stderr=True))
    return code


def build_parser(kind: type[argparse.ArgumentParser] = OneLineParser) -> argparse.ArgumentParser:
    """The options of every command; `kind` says what becomes of a refusal."""
    # Imported here because torch takes seconds, in which Ctrl-C must be caught by `main`.
    from kuaixun.trainer.commands import (
        analyse,
        baseline,
        blend,
        distil,
        evaluate,
        network,
        pretrain,
        prune,
        report,
        retrain,
        run,
        split,
        teacher,
        vary,
        words,
    )

    parser = kind(prog=PROGRAM, description="Train and measure headline classifiers.")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    analyse.add_to(commands)
    split.add_to(commands)
    baseline.add_to(commands)
    pretrain.add_to(commands)
    teacher.add_to(commands)
    words.add_to(commands)
    network.add_to(commands)
    vary.add_to(commands)
    blend.add_to(commands)
    distil.add_to(commands)
    prune.add_to(commands)
    evaluate.add_to(commands)
    run.add_to(commands, build_parser)
    retrain.add_to(commands)
    report.add_to(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
