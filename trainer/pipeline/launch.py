"""A stage's command in a process of its own.

A process, so that memory, threads and a GPU are free again when it ends, and one that the system kills takes nothing
along. It shows its progress on our standard error; what it prints on standard output becomes a file.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from kuaixun.export.command_line import INTERRUPTED_EXIT_CODE
from kuaixun.trainer.interrupts import Termination
from kuaixun.trainer.pipeline.stage import EXPORT, TRAINER

MODULES = {TRAINER: "kuaixun.trainer.cli", EXPORT: "kuaixun.export.cli"}


class Launch(Protocol):
    """A way to run a command."""

    def __call__(self, program: str, arguments: Sequence[str], folder: Path, printed: Path, lock: int) -> int:
        """Run it in `folder` to its end and return its exit code; its standard output goes to the file `printed`.

        It holds the file descriptor `lock` too: where it outlives this process, the work folder stays taken. Blocks.
        Raises KeyboardInterrupt where Ctrl-C came and the command has nothing to say about it.
        """


def in_a_process(program: str, arguments: Sequence[str], folder: Path, printed: Path, lock: int) -> int:
    """Run a command as a child; Ctrl-C and SIGTERM reach it through us, and we wait for what it keeps."""
    # -P: the folder holds the user's files, whose names are no business of Python's imports.
    command = [sys.executable, "-P", "-m", MODULES[program], *arguments]
    with printed.open("wb") as output, _interrupts_heard():
        child = subprocess.Popen(command, cwd=folder, stdout=output, start_new_session=True, pass_fds=(lock,))
    with child:
        try:
            while True:
                try:
                    child.wait()
                    break
                except Termination:  # the system may have sent it to the child as well, which takes the two as one
                    child.send_signal(signal.SIGTERM)
                except KeyboardInterrupt:
                    child.send_signal(signal.SIGINT)
        except BaseException:
            child.kill()
            raise
    # One that was about to end of itself may die of the signal instead.
    return INTERRUPTED_EXIT_CODE if child.returncode in (-signal.SIGINT, -signal.SIGTERM) else child.returncode


@contextmanager
def _interrupts_heard() -> Iterator[None]:
    """Where SIGINT is ignored, as in what a shell runs in the background, a child would ignore ours as well."""
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
