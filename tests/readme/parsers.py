"""What the programs' own parsers say of a command, which does not run."""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path

from kuaixun.export import cli as export_cli
from kuaixun.trainer import cli as trainer_cli
from kuaixun.trainer.pipeline.command_options import parser_of
from kuaixun.worker import cli as worker_cli
from tests.readme.shown import commands_of

ROOT = Path(__file__).resolve().parents[2]
OURS = ("kuaixun.", "tests.")
READS_OPTIONS = re.compile(r"(ArgumentParser|OneLineParser|read_options)\(")


@cache
def parser(program: str) -> argparse.ArgumentParser | None:
    """The parser of one of the three commands that the package installs; None for any other."""
    if program == "kuaixun-worker":
        return worker_cli._parser()
    if program == "kuaixun-export":
        return export_cli.build_parser()
    if program == "kuaixun-trainer":
        return trainer_cli.build_parser()
    return None


@cache
def flags_of_cpp() -> dict[str, set[str]]:
    """The flags that the sources of each C++ program name."""
    flags: dict[str, set[str]] = {}
    for path in (ROOT / "export/cpp").rglob("CMakeLists.txt"):
        for name, sources in re.findall(r"add_executable\((kuaixun-\w+)\s+([^)]*)\)", path.read_text(encoding="utf-8")):
            read = "".join((path.parent / source).read_text(encoding="utf-8") for source in sources.split())
            flags[name] = set(re.findall(r'"(--[a-z-]+)"', read))
    return flags


def faults(words: Sequence[str], *, whole: bool = True) -> Iterator[str]:
    """What a program would refuse; nothing of programs that are not ours.

    A command that is not `whole` may leave out what is required. `make` is asked which commands it would run.
    """
    words = words[1:] if words[0] in {"sudo", "time", "env"} else words
    program, arguments = Path(words[0]).name, list(words[1:])
    if program == "make":
        yield from _faults_of_make(arguments)
    elif program == "python" and arguments[:1] == ["-m"] and "".join(arguments[1:2]).startswith(OURS):
        yield from _faults_of_module(arguments[1], arguments[2:])
    elif program in flags_of_cpp():
        yield from (f"{program} has no {one}" for one in _flags(arguments) if one not in flags_of_cpp()[program])
    elif (known := parser(program)) is not None:
        if arguments:
            yield from _refusal(known, arguments) if whole else _unknown(known, arguments)
    elif program.startswith("kuaixun-"):
        yield f"there is no program {program}"


def _flags(arguments: Sequence[str]) -> list[str]:
    return [one.partition("=")[0] for one in arguments if one.startswith("--")]


def _refusal(known: argparse.ArgumentParser, arguments: Sequence[str]) -> Iterator[str]:
    said = io.StringIO()
    try:
        with redirect_stderr(said), redirect_stdout(io.StringIO()):
            known.parse_args(arguments)
    except SystemExit as leaving:
        if leaving.code:
            yield said.getvalue().strip()


def _unknown(known: argparse.ArgumentParser, arguments: Sequence[str]) -> Iterator[str]:
    command, *others = arguments
    if not command.startswith("-"):
        try:
            known = parser_of(known, command)
        except KeyError:
            yield f"{known.prog} has no command {command}"
            return
    options = {option for action in known._actions for option in action.option_strings}
    yield from (f"{known.prog} has no {one}" for one in _flags(others or arguments) if one not in options)


def _faults_of_module(module: str, arguments: Sequence[str]) -> Iterator[str]:
    paths = [ROOT / "src" / module.replace(".", "/"), ROOT / module.replace(".", "/")]
    sources = [source for path in paths for source in (path / "__main__.py", path.with_suffix(".py"))]
    source = next((source for source in sources if source.is_file()), None)
    if source is None:
        yield f"there is no module {module}"
    elif READS_OPTIONS.search(source.read_text(encoding="utf-8")):  # any other might run
        # Left to right: what stands before --help is refused before it helps, but for flags that it does not know.
        command = [sys.executable, "-m", module, *arguments, "--help"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        if done.returncode:
            yield done.stderr.strip()
        yield from (f"{module} has no {one}" for one in _flags(arguments) if one not in done.stdout)


def _faults_of_make(arguments: Sequence[str]) -> Iterator[str]:
    done = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )
    if done.returncode:
        yield done.stderr.strip()
    for line in done.stdout.replace("\\\n", " ").splitlines():
        for words in commands_of(line):
            yield from faults(words)
