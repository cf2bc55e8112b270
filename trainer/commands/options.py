"""Command-line options that several commands share, and values with a form of their own."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from pathlib import Path

from kuaixun.trainer.data.labelled_texts import CsvColumns


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


def recorded_command(arguments: list[str], options: argparse.Namespace) -> str:
    """The command as a model card may show it: every path cut to its name, for where files lie is nobody's business.

    >>> recorded_command(["--train", "/data/a b.txt"], argparse.Namespace(train=Path("/data/a b.txt")))
    "kuaixun-trainer --train 'a b.txt'"
    """
    paths = {str(value): value.name for value in vars(options).values() if isinstance(value, Path)}
    shown = []
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        if argument in paths or str(Path(argument)) in paths:
            shown.append(Path(argument).name)
        elif flag.startswith("--") and equals and str(Path(value)) in paths:
            shown.append(f"{flag}={Path(value).name}")
        else:
            shown.append(argument)
    return shlex.join(["kuaixun-trainer", *shown])
