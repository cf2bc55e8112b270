"""A command as its record shows it: without the folders in which its files lie."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from kuaixun.trainer.commands.values import parted
from kuaixun.trainer.scores.weighted_scores import WeightedScores


def recorded_command(
    arguments: Sequence[str], options: argparse.Namespace, *, files: Sequence[str] = (), models: Sequence[str] = ()
) -> str:
    """The command as a model card may show it: every path cut to its name, for where files lie is nobody's business.

    `files` and `models` are options whose values hold paths in a form of their own: see `without_folders`.

    >>> recorded_command(["--train", "/data/a b.txt"], argparse.Namespace(train=Path("/data/a b.txt")))
    "kuaixun-trainer --train 'a b.txt'"
    """
    names: dict[str, str] = {}
    for value in vars(options).values():
        for path in _paths_in(value):
            names[str(path)] = path.name
    shown = []
    for argument in without_folders(arguments, files=files, models=models):
        flag, equals, value = argument.partition("=")
        if flag.startswith("--") and equals:
            shown.append(f"{flag}={_without_folder(value, names)}")
        else:
            shown.append(_without_folder(argument, names))
    return shlex.join(["kuaixun-trainer", *shown])


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
        first, equals, second = parted(value)
        return f"{Path(first).name}{equals}{Path(second).name}"
    return Path(value).name if option in models and Path(value).is_dir() else value


def _paths_in(value: object) -> list[Path]:
    """The paths that an option holds: itself, its file of scores, or those of its list."""
    if isinstance(value, list):
        return [path for one in value for path in _paths_in(one)]
    if isinstance(value, WeightedScores):
        return [value.path]
    return [value] if isinstance(value, Path) else []


def _without_folder(argument: str, names: dict[str, str]) -> str:
    """An argument with its path cut to the name, the weight that may follow it kept."""
    if str(Path(argument)) in names:
        return names[str(Path(argument))]
    path, colon, weight = argument.rpartition(":")
    return names[str(Path(path))] + colon + weight if colon and str(Path(path)) in names else argument
