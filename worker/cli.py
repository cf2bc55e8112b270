"""`kuaixun-worker run | demo | check | replay`."""

from __future__ import annotations

import argparse
import errno
import gc
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from kuaixun import __version__
from kuaixun.export.command_line import OneLineParser, finish
from kuaixun.worker.errors import ReplayUnfinishedError, WorkerError
from kuaixun.worker.observability.log_lines import LogFormat, last_words, log_to

PROGRAM = "kuaixun-worker"
LOG = logging.getLogger(__name__)
OBJECTS_PER_COLLECTION = 100_000  # more than wait at once
SWITCH_SECONDS = 0.0002  # how long a thread keeps the interpreter while another waits for it
# Whoever reads standard output went away, or the disk that it goes to is full: no fault of this program.
OF_THE_OUTPUT = {errno.EPIPE, errno.ENOSPC}


def leave() -> NoReturn:
    """The program: `main`, and the end of the process with its exit code.

    Without taking the interpreter down first, for a thread of C++ that calls into one which goes down, or comes back
    to it, takes the process with it, whatever its exit code: the client's that asks for a token (confluent-kafka
    2.16), or one that opens a bundle which nobody waits for any more.
    """
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code, as `errors.py` lists them. Errors are one paragraph on standard error."""
    return finish(PROGRAM, lambda: _command(arguments))


def _command(arguments: Sequence[str] | None) -> int:
    # Of whatever is installed beside the worker nothing runs unasked; to look for it takes 15 ms, too.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        parsed = _parser().parse_args(arguments)
        code: int = parsed.command(parsed)
    except WorkerError as error:
        last_words(PROGRAM, str(error), error.exit_code)
        return error.exit_code
    except Exception as error:
        if isinstance(error, OSError) and error.errno in OF_THE_OUTPUT:
            raise
        LOG.exception("%s met a fault of its own; nothing unconfirmed is committed. Please report it.", PROGRAM)
        return WorkerError.exit_code
    return code


def _run(parsed: argparse.Namespace) -> int:
    # Imported here, as below: `--version` needs no Kafka client, and Ctrl-C must find `finish` on the stack.
    from kuaixun.worker.flags import setting_flags
    from kuaixun.worker.opening import Opening
    from kuaixun.worker.settings import read_settings

    settings = read_settings(setting_flags(parsed))
    log_to(sys.stderr, settings.log_level, settings.log_format)
    opening = Opening(settings)  # what else is imported takes as long
    from kuaixun.worker.life import STUCK_BEYOND_SECONDS, Life
    from kuaixun.worker.observability.watching import seen_at_the_end, watched
    from kuaixun.worker.reload import Reloads, reload_on_hangup
    from kuaixun.worker.service import run_worker
    from kuaixun.worker.stop import Stop, hard_stop, stop_on_signals

    stop, reloads = Stop(settings.shutdown_budget_seconds), Reloads()
    stuck_seconds = settings.longest_turn_seconds + STUCK_BEYOND_SECONDS
    life = Life(stuck_seconds, settings.heartbeat_file)
    with (
        watched(settings, stop, stuck_seconds) as witness,
        stop_on_signals(stop),
        reload_on_hangup(reloads, stop),
        hard_stop(stop),
        life,
        _interpreter_for_the_loop(),
        seen_at_the_end(settings, stop),
    ):
        run_worker(settings, stop, reloads=reloads, turned=life.turned, witness=witness, opening=opening)
    return 0


@contextmanager
def _interpreter_for_the_loop() -> Iterator[None]:
    """The interpreter's own pace as the loop needs it, for as long as the context lasts.

    Garbage is looked for seldom, and not in what is imported: a headline's objects are freed by their counts, and
    thousands wait for their confirmation; looking through all that every 700 objects took a sixth of the loop. And
    whoever comes back from C++ waits for the loop's thread no longer than a batch can bear: the usual 5 ms, a few
    times a batch, are as long as classifying takes.
    """
    before = gc.get_threshold(), sys.getswitchinterval()
    gc.freeze()
    gc.set_threshold(OBJECTS_PER_COLLECTION)
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        gc.set_threshold(*before[0])
        sys.setswitchinterval(before[1])
        gc.unfreeze()


def _check(parsed: argparse.Namespace) -> int:
    from kuaixun.worker.flags import setting_flags
    from kuaixun.worker.opening import Opening
    from kuaixun.worker.settings import read_settings

    settings = read_settings(setting_flags(parsed))
    # For somebody who looks on, wherever its lines go.
    log_to(sys.stderr, "error", LogFormat.JSON if settings.log_format is LogFormat.JSON else LogFormat.TEXT)
    logging.getLogger("kuaixun.export").setLevel(logging.WARNING)  # which engine stands in for which, and why
    opening = Opening(settings)  # what else is imported takes as long
    from kuaixun.worker.check import check

    check(settings, opening)
    return 0


def _replay(parsed: argparse.Namespace) -> int:
    from kuaixun.worker.flags import setting_flags
    from kuaixun.worker.replay.options import request_of
    from kuaixun.worker.replay.run import run_replay
    from kuaixun.worker.settings import read_settings
    from kuaixun.worker.stop import Stop, hard_stop, stop_on_signals

    settings = read_settings(setting_flags(parsed))
    log_to(sys.stderr, settings.log_level, settings.log_format)
    stop = Stop(settings.shutdown_budget_seconds)
    with stop_on_signals(stop), hard_stop(stop):
        tally = run_replay(settings, request_of(parsed), stop)
    print(tally.as_json() if parsed.json else "\n".join(tally.lines()))
    if not tally.complete:
        raise ReplayUnfinishedError("Told to stop before the end. The same command goes on from here.")
    return 0


def _demo(parsed: argparse.Namespace) -> int:
    from kuaixun.worker.demo import run_demo

    return run_demo(headlines=parsed.headlines, count=parsed.count, seconds=parsed.seconds)


def _parser() -> argparse.ArgumentParser:
    from kuaixun.worker.flags import add_setting_flags
    from kuaixun.worker.replay.options import add_replay_flags

    parser = _Parser(
        prog=PROGRAM, description="Label Chinese news headlines as they pass through Kafka.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(required=True, metavar="run | demo | check | replay")
    run = commands.add_parser("run", help="label headlines until told to stop", allow_abbrev=False)
    add_setting_flags(run)
    run.set_defaults(command=_run)
    check = commands.add_parser("check", help="see whether run would work, and say what is found", allow_abbrev=False)
    add_setting_flags(check)
    check.set_defaults(command=_check)
    demo = commands.add_parser("demo", help="label headlines on a broker inside this process", allow_abbrev=False)
    demo.add_argument("--headlines", type=Path, metavar="FILE", help="your own: a headline, or a JSON event, a line")
    demo.add_argument("--count", type=int, metavar="N", help="how many to send, from the start again when they run out")
    demo.add_argument("--seconds", type=float, metavar="N", help="how long to go on, such as 300 to look at the page")
    demo.set_defaults(command=_demo)
    replay = commands.add_parser("replay", help="send dead letters through the worker again", allow_abbrev=False)
    add_replay_flags(replay)
    add_setting_flags(replay)
    replay.set_defaults(command=_replay)
    return parser


class _Parser(OneLineParser):
    """A parser that repeats the names of flags alone, for anything else may be a secret that lost its place."""

    def error(self, message: str) -> NoReturn:
        super().error(_without_values(message))


def _without_values(message: str) -> str:
    """What argparse says, without what it repeats of the command line.

    >>> _without_values("unrecognized arguments: --sasl.password hunter2 --pass=hunter2")
    'unrecognized arguments: --sasl.password --pass …'
    >>> _without_values("argument run | check: invalid choice: 'hunter2' (choose from 'run', 'check')")
    "argument run | check: invalid choice (choose from 'run', 'check')"
    """
    what, unrecognized, words = message.partition("unrecognized arguments: ")
    if unrecognized:
        flags = [word.partition("=")[0] for word in words.split() if word.startswith("--")]
        return " ".join([what + unrecognized.strip(), *flags, "…"])
    what, invalid, rest = message.partition(": invalid choice: ")
    if invalid:
        return f"{what}: invalid choice (choose from{rest.rpartition('(choose from')[2]}"
    what, ignored, _ = message.partition("ignored explicit argument ")
    return f"{what}takes no value" if ignored else message


if __name__ == "__main__":
    leave()
