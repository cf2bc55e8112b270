"""What fastText 0.9.3 needs to come to a model, and what to say where it came to none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

NAN_MESSAGE = "Encountered NaN"
LOWER = 0.5
MOST_RETRIES = 6


def started(module: str, folder: Path, stderr: int | IO[str]) -> subprocess.Popen[bytes]:
    """A process of fastText: a module of ours that works in `folder`, in a session of its own.

    Ctrl-C reaches it only through us.
    """
    # -P: where the command was given lie the user's files, whose names are no business of Python's imports.
    command = [sys.executable, "-P", "-m", module, str(folder)]
    return subprocess.Popen(command, stderr=stderr, env=_zeroed_memory(), start_new_session=True)


def _zeroed_memory() -> dict[str, str]:
    """The environment for a process of fastText: glibc hands out zeros there.

    With fewer than ten threads, 0.9.3 fills only as many tenths of its table as it has threads and trains on whatever
    lay in the rest of the memory, now and then to NaN.
    """
    return os.environ | {"MALLOC_PERTURB_": "255"}


def trained_without_nan(arguments: Any) -> tuple[Any, int]:
    """A trained model, and how often it was tried again: with half the learning rate where it met NaN, six times.

    `arguments` are fastText's own, and change on the way. Raises RuntimeError, fastText's own.
    """
    import fasttext_pybind as fasttext

    for retries in range(MOST_RETRIES + 1):
        model = fasttext.fasttext()
        try:
            fasttext.train(model, arguments)
        except RuntimeError as error:
            if NAN_MESSAGE not in str(error) or retries == MOST_RETRIES:
                raise
        else:
            return model, retries
        # After a search these are the best that it found, and NaN met only the training that follows it.
        tried = model.getArgs()
        arguments.lr, arguments.epoch, arguments.wordNgrams = tried.lr * LOWER, tried.epoch, tried.wordNgrams
        arguments.autotuneValidationFile = ""
    raise AssertionError("unreachable: the last try returns or raises")


def why_it_ended(exit_code: int, last_words: str) -> str:
    """The reason of a process that ended without a model."""
    if exit_code == -signal.SIGKILL:
        return "the system ended it, most likely for want of memory"
    return last_words or f"it ended with {exit_code}"


def met_nan(failure: str) -> str:
    """What to tell of a failure for NaN; nothing for another."""
    if NAN_MESSAGE not in failure:
        return ""
    return f"fastText met NaN {MOST_RETRIES + 1} times, halving its learning rate; lower --learning-rate"
