"""What the three commands share at the command line: how one begins, is refused and ends."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from kuaixun.export.errors import ExportError
from kuaixun.export.printable import printable

USAGE_EXIT_CODE = 2
INTERRUPTED_EXIT_CODE = 130
# What to do where a result does not fit on its disk.
_ROOM = "make room there, or write to another disk"
NO_ROOM = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "lift the limit on the size of files (ulimit -f), or write to another disk",
}


class OneLineParser(argparse.ArgumentParser):
    """A parser that refuses in one line and points to the rest, as its commands' parsers do.

    Options have their whole names: what is recorded of a command line is read again, and then an abbreviation may be
    that of another option, or of none.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **settings})

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and leave with code 2."""
        self.exit(USAGE_EXIT_CODE, f"{self.prog}: {printable(message)}. See {self.prog} --help.\n")


def path_of(text: str) -> Path:
    """An argument that names a file or folder; the empty one, which an unset variable leaves, would mean `.`."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty; to mean this folder, write .")
    return Path(text)


def finish(program: str, command: Callable[[], int]) -> int:
    """Run a command to its exit code. Errors that are expected are one paragraph on standard error.

    Whatever takes long to import belongs inside `command`, so that Ctrl-C ends it quietly from the start.
    """
    try:
        _prepare_output()
        code = command()
        _flush_output()
    except ExportError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader went away (`| head`): leave without a trace.
        _drop_unwritten_output()
        return 0
    except SystemExit as leaving:
        # What rich makes of a reader that went away, with code 1.
        if isinstance(leaving.__context__, BrokenPipeError):
            return 0
        return _left(program, leaving)
    except KeyboardInterrupt:
        return INTERRUPTED_EXIT_CODE
    except OSError as error:
        _drop_unwritten_output()
        print(f"{program}: {reason_of(error)}", file=sys.stderr)
        return USAGE_EXIT_CODE
    return code


def _left(program: str, leaving: SystemExit) -> int:
    """The exit code of `--help` and `--version`, which are no success where nobody can have read them."""
    try:
        _flush_output()
    except BrokenPipeError:
        _drop_unwritten_output()
    except OSError as error:
        _drop_unwritten_output()
        print(f"{program}: {reason_of(error)}", file=sys.stderr)
        return USAGE_EXIT_CODE
    raise leaving


def reason_of(error: OSError) -> str:
    """The system's words for it and the file's name, without its number; where there is no room, what to do.

    >>> reason_of(FileNotFoundError(2, "No such file or directory", "a.txt"))
    'a.txt: No such file or directory'
    >>> reason_of(OSError(errno.ENOSPC, "No space left on device", "a.txt"))
    'a.txt cannot be written: No space left on device; make room there, or write to another disk'
    """
    reason = error.strerror or str(error)
    if error.filename and error.errno in NO_ROOM:
        return printable(f"{error.filename} cannot be written: {reason}; {NO_ROOM[error.errno]}")
    return printable(f"{error.filename}: {reason}" if error.filename else reason)


def _prepare_output() -> None:
    """Where the locale has no sign for a character, its escape is printed; what is written is written whole.

    With PYTHONUNBUFFERED a write goes to the system as it is, and what a full disk or a slow reader leaves of it would
    be lost without a word.
    """
    for stream in _text_streams():
        stream.reconfigure(errors="backslashreplace")
    if sys.stdout in _text_streams() and isinstance(sys.stdout.buffer, io.RawIOBase):
        descriptor, encoding = sys.stdout.fileno(), sys.stdout.encoding
        sys.stdout = open(descriptor, "w", 1, encoding, errors="backslashreplace", closefd=False)  # noqa: SIM115


def _drop_unwritten_output() -> None:
    """Keep the interpreter from failing, with a trace of its own, on what it flushes at exit."""
    try:
        _flush_output()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _flush_output() -> None:
    if sys.stdout in _text_streams():
        sys.stdout.flush()


def _text_streams() -> list[io.TextIOWrapper]:
    """Standard output and error, where they are open: a closed one is None."""
    return [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, io.TextIOWrapper)]
