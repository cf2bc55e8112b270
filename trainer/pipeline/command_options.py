"""A section's keys to a command's options: they are the same names, so that settings are defined once, by the command.

epochs = 8            --epochs 8                    mixed-precision = true     --mixed-precision
widths = [2, 3, 4]    --widths 2,3,4                score = ["a=b", "c=d"]     --score a=b --score c=d
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.pipeline.plan import Settings, near

# The parser of each program, by its name; a RaisingParser.
Parsers = Mapping[str, argparse.ArgumentParser]


class RaisingParser(argparse.ArgumentParser):
    """A parser whose refusal is an error to add to, and not the end of the process."""

    def error(self, message: str) -> NoReturn:
        """Raise SettingError; what is said of a number is said of the key, as the file has it."""
        if found := re.fullmatch(r"argument --(\S+): invalid (int|float) value: (.*)", message, re.DOTALL):
            kind = {"int": "a whole number", "float": "a number"}[found[2]]
            raise SettingError(f"{found[1]} is {found[3]}; it must be {kind}")
        raise SettingError(message)


def parser_of(parser: argparse.ArgumentParser, command: str) -> argparse.ArgumentParser:
    """The parser of one command."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found: argparse.ArgumentParser = action.choices[command]
            return found
    raise ValueError(f"{parser.prog} has no commands")


def option_names(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """The options of a command by their names without dashes in front; `--no-x` is x, set to false."""
    return {
        option.removeprefix("--"): action
        for action in parser._actions
        for option in action.option_strings
        if option.startswith("--") and not option.startswith("--no-") and option != "--help"
    }


def arguments_of(
    section: str, parser: argparse.ArgumentParser, settings: Settings, wired: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """The arguments of each setting, by the option's name. Raises SettingError naming section and key.

    `wired` are options that the run itself sets.
    """
    options, wired = option_names(parser), tuple(wired)
    free = [name for name in options if name not in wired]
    arguments: dict[str, tuple[str, ...]] = {}
    for key, value in settings.items():
        name = key.replace("_", "-")
        if name in wired:
            raise SettingError(f"[{section}] {key}: the run sets this itself; leave it out")
        if name not in options:
            raise SettingError(f"[{section}] {key}: there is no such setting{near(name, free)}")
        if name in arguments:
            raise SettingError(f"[{section}] {key}: stands there twice, with a dash and with an underscore")
        try:
            arguments[name] = tuple(_arguments(f"--{name}", options[name], value))
        except TypeError as error:
            raise SettingError(f"[{section}] {key} is {value!r}; {error}") from None
    return arguments


def _arguments(flag: str, action: argparse.Action, value: object) -> Iterator[str]:
    if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
        if not isinstance(value, bool):
            raise TypeError("it must be true or false")
        if value:
            yield flag
        elif isinstance(action, argparse.BooleanOptionalAction):
            yield f"--no-{flag.removeprefix('--')}"
    elif isinstance(action, argparse._AppendAction):
        for one in value if isinstance(value, list) else [value]:
            several = [_text(part) for part in one] if isinstance(one, list) else [_text(one)]
            yield from (flag, *several) if action.nargs else (f"{flag}={several[0]}",)
    elif isinstance(value, list):
        yield f"{flag}={','.join(map(_text, value))}"
    else:
        yield f"{flag}={_text(value)}"


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError("it must be a text or a number, or a list of them")
    return str(value)


def parsed(section: str, parser: argparse.ArgumentParser, arguments: Sequence[str], folder: Path) -> argparse.Namespace:
    """What the command will read when it begins in `folder`. Raises SettingError naming the section.

    A command whose settings must fit together says so under `expect`, and is asked.
    """
    try:
        options = parser.parse_args(arguments)
        if "expect" in options:
            with contextlib.chdir(folder):
                options.expect(options)
    except SettingError as error:
        raise SettingError(f"[{section}] {error}") from None
    return options


def paths_in(value: object) -> Iterator[Path]:
    """Every path that an option holds: itself, that of a file with a weight, those of a list."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from paths_in(one)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from paths_in(getattr(value, field.name))
