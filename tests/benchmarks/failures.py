"""Why there is no figure, for whoever measures."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

from kuaixun.export.command_line import finish

FAILED_EXIT_CODE = 1


class BenchmarkError(Exception):
    """Nothing, or not all, can be measured; the message says what is in the way."""


def finish_measuring(program: str, command: Callable[[], int]) -> int:
    """Run a measurement to its exit code; what is in its way is told without a traceback.

    SIGTERM is taken as Ctrl-C is: what was started is ended, and what was measured so far is shown.
    """

    def told() -> int:
        try:
            return command()
        except BenchmarkError as error:
            print(f"{program}: {error}", file=sys.stderr)
            return FAILED_EXIT_CODE

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return finish(program, told)
