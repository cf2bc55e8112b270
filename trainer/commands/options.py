"""Command-line options that several commands share, and values with a form of their own."""

from __future__ import annotations

import argparse
import math
import shlex
from collections.abc import Callable
from pathlib import Path

from kuaixun.export.command_line import path_of
from kuaixun.trainer.data.labelled_texts import CsvColumns
from kuaixun.trainer.student.score_file import ScoreFile


def add_columns(parser: argparse.ArgumentParser) -> None:
    """The columns of CSV files."""
    group = parser.add_argument_group("CSV files (told by their suffix; all others hold text<TAB>label lines)")
    group.add_argument("--text-column", default="text", metavar="NAME", help="column of the texts (default: text)")
    group.add_argument("--label-column", default="label", metavar="NAME", help="column of the labels (default: label)")


def columns_of(options: argparse.Namespace) -> CsvColumns:
    """What `add_columns` read."""
    return CsvColumns(text=options.text_column, label=options.label_column)


def whole_number(lowest: int, highest: int | None = None) -> Callable[[str], int]:
    """A converter to whole numbers within bounds, whose refusal names them."""

    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
        if not lowest <= number <= (highest if highest is not None else number):
            bounds = f"at least {lowest}" + (f" and at most {highest}" if highest is not None else "")
            raise argparse.ArgumentTypeError(f"{number} is out of range; it must be {bounds}")
        return number

    return convert


def number_list(lowest: int, highest: int) -> Callable[[str], tuple[int, ...]]:
    """A converter to different whole numbers within bounds, as in 2,3,4; they come sorted, as a bundle wants them."""
    number = whole_number(lowest, highest)

    def convert(text: str) -> tuple[int, ...]:
        found = tuple(sorted(number(part.strip()) for part in text.split(",")))
        if len(set(found)) != len(found):
            raise argparse.ArgumentTypeError(f"{text!r} names a number twice")
        return found

    return convert


def bits_or_none(text: str) -> int | None:
    """The size of the n-gram table as a power of two, or `none` for no such branch."""
    return None if text == "none" else whole_number(1, 24)(text)


def score_file(text: str) -> ScoreFile:
    """A file of teacher scores, and its weight where one follows: FILE or FILE:WEIGHT.

    >>> score_file("bert.safetensors:0.7")
    ScoreFile(path=PosixPath('bert.safetensors'), weight=0.7)
    """
    name, colon, number = text.rpartition(":")
    if not colon or not name:
        return ScoreFile(path_of(text))
    try:
        weight = float(number)
    except ValueError:
        return ScoreFile(path_of(text))  # a colon in the file's name
    if not 0 < weight < math.inf:
        raise argparse.ArgumentTypeError(f"the weight in {text!r} is {number}; it must be above 0")
    return ScoreFile(path_of(name), weight)


def recorded_command(arguments: list[str], options: argparse.Namespace) -> str:
    """The command as a model card may show it: every path cut to its name, for where files lie is nobody's business.

    >>> recorded_command(["--train", "/data/a b.txt"], argparse.Namespace(train=Path("/data/a b.txt")))
    "kuaixun-trainer --train 'a b.txt'"
    """
    names: dict[str, str] = {}
    for value in vars(options).values():
        for path in _paths_in(value):
            names[str(path)] = path.name
    shown = []
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        if flag.startswith("--") and equals:
            shown.append(f"{flag}={_without_folder(value, names)}")
        else:
            shown.append(_without_folder(argument, names))
    return shlex.join(["kuaixun-trainer", *shown])


def _paths_in(value: object) -> list[Path]:
    """The paths that an option holds: itself, its file of scores, or those of its list."""
    if isinstance(value, list):
        return [path for one in value for path in _paths_in(one)]
    if isinstance(value, ScoreFile):
        return [value.path]
    return [value] if isinstance(value, Path) else []


def _without_folder(argument: str, names: dict[str, str]) -> str:
    """An argument with its path cut to the name, the weight that may follow it kept."""
    if str(Path(argument)) in names:
        return names[str(Path(argument))]
    path, colon, weight = argument.rpartition(":")
    return names[str(Path(path))] + colon + weight if colon and str(Path(path)) in names else argument
