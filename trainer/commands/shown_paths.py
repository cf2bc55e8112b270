"""Options whose values are files in a form of their own, cut for the record of a command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path


def without_folders(arguments: Sequence[str], *, files: Sequence[str], models: Sequence[str]) -> list[str]:
    """The arguments with every folder left out of the values of these options: where files lie is nobody's business.

    A value of `files` is FILE=ANYTHING, of several such values one after another; a value of `models` is a folder or
    a name of the hub, which stays.

    >>> without_folders(["--texts", "/data/a.txt=0.5", "--seed", "1"], files=["--texts"], models=[])
    ['--texts', 'a.txt=0.5', '--seed', '1']
    """
    return list(_cut(arguments, files, models))


def _cut(arguments: Sequence[str], files: Sequence[str], models: Sequence[str]) -> Iterator[str]:
    option = ""
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        if not argument.startswith("--"):
            yield _value(argument, option, files, models)
        elif equals:
            yield f"{flag}={_value(value, flag, files, models)}"
            option = ""
        else:
            yield argument
            option = argument


def _value(value: str, option: str, files: Sequence[str], models: Sequence[str]) -> str:
    if option in files:
        return "=".join(Path(part).name for part in value.split("="))
    return Path(value).name if option in models and Path(value).is_dir() else value
