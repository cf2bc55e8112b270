"""A command as its record shows it, read back: what it said of the student and of its training, as flags to say again.

The record is of a bundle, which may come from anywhere: what the options of today do not take is left out.
"""

from __future__ import annotations

import argparse
import shlex
from typing import NoReturn

from kuaixun.trainer.commands.student_options import (
    STUDENT_FLAGS,
    TEACHER_FLAGS,
    TRANSFER_FLAGS,
    add_student,
)
from kuaixun.trainer.fitting.settings import FIT_NAMES
from kuaixun.trainer.number_ranges import flag_of
from kuaixun.trainer.student.configuration import DEFAULT

# Who learnt from these had another objective, and steps that suit it: labels alone want others.
TAUGHT = ("--teacher-scores", "--transfer-scores", "--transfer")
PRUNED = "&&"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def recorded_flags(command: str) -> dict[str, str]:
    """The flags of a training by their names without dashes, as `retrain` takes them: {"widths": "--widths 10"}.

    Those of the fit where it was one to labels alone; of a student that was pruned then, not how many filters it had.
    Nothing where the command cannot be read.

    >>> recorded_flags("kuaixun-trainer distil --train=a.txt --keyword-filters --widths=10 --epochs 3")
    {'widths': '--widths 10', 'keyword-filters': '--keyword-filters', 'epochs': '--epochs 3'}
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    add_student(parser)
    try:
        words = shlex.split(command)
        training = words[: words.index(PRUNED)] if PRUNED in words else words
        options, _ = parser.parse_known_args(training)
    except ValueError:
        return {}
    taught = any(word.partition("=")[0] in TAUGHT for word in training)
    left_out = {*TEACHER_FLAGS, *TRANSFER_FLAGS, *(FIT_NAMES if taught else ())}
    if PRUNED in words:
        left_out.add("filters")
    flags = {}
    # A file of one's own is recorded without its folder: who has it knows where it lies.
    if isinstance(options.configuration, str) and options.configuration != DEFAULT and not taught:
        flags["configuration"] = f"--configuration {options.configuration}"
    for name in STUDENT_FLAGS:
        if name in vars(options) and name not in left_out:
            flags[name.replace("_", "-")] = _flag(name, getattr(options, name))
    return flags


def _flag(name: str, value: object) -> str:
    if isinstance(value, bool):
        return flag_of(name if value else f"no_{name}")
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    return f"{flag_of(name)} {'none' if value is None else value}"
