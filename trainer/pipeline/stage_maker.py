"""A section's settings, and what the run adds to them, to a stage whose arguments the command itself has looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from kuaixun.export.real_path import real_path
from kuaixun.trainer.data.analysis import Analysis
from kuaixun.trainer.pipeline.command_options import Parsers, arguments_of, parsed, parser_of
from kuaixun.trainer.pipeline.data_parts import COLUMNS, DataParts
from kuaixun.trainer.pipeline.plan import Plan, Settings
from kuaixun.trainer.pipeline.stage import TRAINER, Arguments, Stage, input_files
from kuaixun.trainer.pipeline.suited_settings import Suited

PARTS = ("train", "dev", "test")
KINDS = ("split", "analyse", "baseline", "pretrain", "words", "vary", "teacher", "network", "student", "score")
PLACES = (*KINDS, "blend", "distil", "export", "prune", "evaluate", "report")
# Options that no section may hold: the run sets them, or they would lead its output astray.
OURS = (*PARTS, "data", "classes", "output", "json", "prepare-only", "resume", "scores-only", "teacher", *COLUMNS)
Build = Callable[[Analysis | None], Stage]
# The arguments of each option that the run sets.
Wired = dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Planned:
    """A stage to be; `build` makes it once the analysis is known, on which the settings of `suited` ones depend."""

    name: str
    suited: bool
    build: Build


class StageMaker:
    """Makes the stages of one plan, which fill folders in `work`; `parsers` read what the commands are told."""

    def __init__(self, plan: Plan, work: Path, parsers: Parsers) -> None:
        self.plan, self.work = plan, real_path(work)
        self._parsers = parsers

    def folder(self, name: str) -> Path:
        """The folder of a stage: numbered by its kind, so that an optional stage more moves no other."""
        place = next(number for number, kind in enumerate(PLACES, start=1) if name.split("-")[0] == kind)
        return self.work / f"{place:02d}-{name}"

    def output(self, name: str, what: str) -> Wired:
        """The option that lets a stage write `what` into its folder."""
        return {"output": (f"--output={self.folder(name) / what}",)}

    def make(
        self,
        name: str,
        settings: Settings,
        wired: Arguments,
        *,
        command: str = "",
        program: str = TRAINER,
        positional: tuple[str, ...] = (),
        suited: tuple[Suited, ...] = (),
        parts: DataParts | None = None,
        columns: tuple[str, ...] = COLUMNS,
        shared: tuple[str, ...] = (),
        added: tuple[str, ...] = (),
        reads: tuple[str, ...] = (),
    ) -> Stage:
        """A stage. Raises SettingError for what its command would not take.

        `wired` are the options that the run sets; of those, the user may set the `shared` ones in its place and those
        in `added` beside it. `parts` are given where the command reads files of the data, whose columns it must know:
        those among `columns`.
        """
        section = name.split("-")[0]
        command = command or section
        reserved = {*wired, *OURS} - {*shared, *added}
        given = arguments_of(section, parser_of(self._parsers[program], command), settings, reserved)
        wired = {option: words for option, words in wired.items() if option not in given or option in added}
        suited = tuple(one for one in suited if one.option not in given)
        named = {name: words for name, words in parts.columns.items() if name in columns} if parts else {}
        chosen = given | {one.option: one.arguments for one in suited} | named
        stage = Stage(
            name=name,
            section=section,
            folder=self.folder(name),
            program=program,
            command=command,
            chosen=chosen,
            wired=wired,
            positional=positional,
            files={},
            reads=(*(parts.reads if parts else ()), *reads),
            notes=tuple(one.note for one in suited),
        )
        options = parsed(section, self._parsers[program], stage.arguments, self.plan.folder)
        folders = [self.folder(one) for one in (name, *stage.reads)]
        return replace(stage, files=input_files(section, options, self.plan.folder, self.work, folders))
