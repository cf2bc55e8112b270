"""One stage of a run: a command with its arguments, the folder that it fills and what it is made from."""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import kuaixun
from kuaixun.trainer.data.content_hash import sha256_of
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.pipeline.command_options import paths_in
from kuaixun.trainer.pipeline.keys import Finished, Ingredients

TRAINER, EXPORT = "kuaixun-trainer", "kuaixun-export"
STAGE_FOLDER = re.compile(r"\d\d-")
# Stands for the content of what is not there.
NOTHING = ""
# What holds the folder of a model, or its name on the hub, as a text; `origin` is what pretrain calls its --from.
MODEL_OPTIONS = (("baseline", "encoder"), ("teacher", "encoder"), ("pretrain", "origin"))

Arguments = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Stage:
    """`chosen` are arguments by option that count for the key, `wired` those that name files of this run.

    `files` are input files that no stage of `reads` makes, by option. `reads` are the stages whose output it takes.
    What the command prints on standard output becomes the file `printed`. `resumed` names what an interrupted stage of
    the same key keeps of its folder, each with the arguments that go on from it. `notes` say what was chosen for the
    user, and why.
    """

    name: str
    section: str
    folder: Path
    program: str
    command: str
    chosen: Arguments
    wired: Arguments
    positional: tuple[str, ...]
    files: Mapping[str, Path]
    reads: tuple[str, ...]
    printed: str = "output.txt"
    resumed: Arguments = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """The command line without the program."""
        options = [word for part in (self.wired, self.chosen) for words in part.values() for word in words]
        return [self.command, *self.positional, *options]

    def ingredients(self, finished: Mapping[str, Finished]) -> Ingredients:
        """What the stage would be made from now; `finished` holds the stages that it reads."""
        return Ingredients(
            settings={name: " ".join(words) for name, words in self.chosen.items()},
            files={name: sha256_of(path) if path.exists() else NOTHING for name, path in self.files.items()},
            reads={name: finished[name].mark for name in self.reads},
            version=kuaixun.__version__,
        )


def input_files(
    section: str, options: argparse.Namespace, folder: Path, work: Path, wired: Collection[Path]
) -> dict[str, Path]:
    """Every file or folder that the options name, but for those in the `wired` folders, whose stages have keys.

    Raises SettingError for one that is not there, unless it lies in a stage's folder in `work`, which may make it yet.
    """
    found: dict[str, Path] = {}
    for name, value in vars(options).items():
        paths = [folder / path for path in paths_in(value)]
        if (section, name) in MODEL_OPTIONS and isinstance(value, str) and (folder / value).is_dir():
            paths = [folder / value]
        for number, path in enumerate(paths, start=1):
            if any(path.is_relative_to(one) for one in wired):
                continue
            option = name.replace("_", "-")
            if not (path.is_relative_to(work) and STAGE_FOLDER.match(str(path.relative_to(work)))):
                expect_there(section, option, path)
            found[option if len(paths) == 1 else f"{option} {number}"] = path
    return found


def expect_there(section: str, option: str, path: Path) -> None:
    """Raise SettingError for a file or folder of the user's that is not there, with the option that names it."""
    if not path.exists():
        raise SettingError(f"[{section}] {option}: {path} does not exist; correct the path, or make the file")
