"""`kuaixun-trainer run`: from a labelled file to a measured bundle and its report, by one TOML file."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from kuaixun.export.cli import build_parser as build_export_parser
from kuaixun.export.command_line import INTERRUPTED_EXIT_CODE, path_of
from kuaixun.export.whole_tables import print_whole, quoted
from kuaixun.trainer.commands.progress import plain_lines
from kuaixun.trainer.pipeline.command_options import RaisingParser
from kuaixun.trainer.pipeline.figures import figures_of
from kuaixun.trainer.pipeline.launch import in_a_process
from kuaixun.trainer.pipeline.making import Choice, Made, Run
from kuaixun.trainer.pipeline.plan import read_plan
from kuaixun.trainer.pipeline.stage import EXPORT, TRAINER
from kuaixun.trainer.pipeline.standing import student_line, teacher_warning
from kuaixun.trainer.pipeline.wiring import Wiring

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

WORK = "work"
BuildParser = Callable[[type[argparse.ArgumentParser]], argparse.ArgumentParser]


def add_to(commands: Commands, build_parser: BuildParser) -> None:
    """Add the command and its options; `build_parser` makes a parser of all commands, which a run asks about each."""
    parser = commands.add_parser(
        "run",
        help="make all stages that a TOML file describes, those that changed",
        description="Analyse, train, build, measure and report as a TOML file says. A stage is made again only where "
        "its settings, its files or a stage before it changed; an interrupted run goes on where it was.",
    )
    parser.add_argument("file", type=path_of, metavar="FILE", help="the TOML file")
    parser.add_argument(
        "--work", type=path_of, metavar="DIR", help=f"folder of the stages (default: {WORK}, beside the file)"
    )
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--from", dest="from_stage", metavar="STAGE", help="make this stage and all after it again")
    choice.add_argument("--only", metavar="STAGE", help="make this stage alone, again if need be")
    parser.add_argument("--dry-run", action="store_true", help="tell which stages would be made, and why; make none")
    parser.set_defaults(run=partial(run, build_parser))


def run(build_parser: BuildParser, options: argparse.Namespace, arguments: list[str], console: Console) -> int:
    """Make the stages, tell each, show a table on standard output. Raises TrainerError."""

    say = plain_lines(console)
    plan = read_plan(options.file)
    parsers = {TRAINER: build_parser(RaisingParser), EXPORT: build_export_parser(RaisingParser)}
    wiring = Wiring(plan, options.work or plan.folder / WORK, parsers)
    work = Run(wiring, Choice(options.from_stage, options.only), say)
    for note in wiring.notes:
        say(note)
    if options.dry_run:
        for decision in work.decide():
            print(f"{decision.name}: {'would be made: ' + decision.reason if decision.reason else 'kept'}")
        return 0
    made: list[Made] = []
    for one in work.make(in_a_process, plan.folder):
        made.append(one)
        if warning := teacher_warning(made):  # before the student learns from it
            say(warning)
    _show(made, wiring.work, Console())
    last = made[-1]
    if last.exit_code == INTERRUPTED_EXIT_CODE:
        say(f"interrupted in {last.stage.name}; the same command goes on there")
    elif last.exit_code:
        say(f"{last.stage.name} failed, with code {last.exit_code}, for the reason above; what came before is kept")
    elif line := student_line(made):
        say(line)
    return last.exit_code


def _show(made: list[Made], work: Path, console: Console) -> None:
    """A row a stage: what became of it, its figures, its folder in `work`, which may be a long path."""
    table = Table()
    table.add_column("stage", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("figures")
    table.add_column("folder", no_wrap=True)
    for one in made:
        figures = quoted(figures_of(one.stage.section, one.stage.folder))
        table.add_row(one.stage.name, _became(one), figures, one.stage.folder.name)
    print_whole(table, console)
    plain_lines(console)(f"folders are in {_short(work)}")


def _became(made: Made) -> str:
    if made.exit_code:
        return "interrupted" if made.exit_code == INTERRUPTED_EXIT_CODE else "failed"
    return f"{made.seconds:.0f} s" if made.reason else "kept"


def _short(folder: Path) -> str:
    """A path as one would type it from here."""
    return str(folder.relative_to(Path.cwd())) if folder.is_relative_to(Path.cwd()) else str(folder)
