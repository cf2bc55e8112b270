"""A run of toy headlines, whose commands are counted, and in most tests are stand-ins that leave a file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kuaixun.export import cli as export_cli
from kuaixun.trainer import cli as trainer_cli
from kuaixun.trainer.commands.values import score_request
from kuaixun.trainer.pipeline.command_options import RaisingParser
from kuaixun.trainer.pipeline.making import Choice, Run
from kuaixun.trainer.pipeline.plan import read_plan
from kuaixun.trainer.pipeline.stage import EXPORT, TRAINER
from kuaixun.trainer.pipeline.wiring import Wiring
from tests.trainer.conftest import toy_content

PARSERS = {
    TRAINER: trainer_cli.build_parser(RaisingParser),
    EXPORT: export_cli.build_parser(RaisingParser),
}
PLAN = """
[data]
file = "my.txt"
seed = 1

[[baseline]]
kinds = ["majority"]

[distil]
filters = 4
embedding-size = 8
ngram-bits = 6
widths = [2, 3]
max-tokens = 16
minimum_frequency = 1
epochs = 1
batch-size = 32
learning-rate = 0.01
evaluate-every-steps = 5
device = "cpu"
threads = 1

[export]
origin = "made up"

[report]
states = 0
device = "cpu"
"""


@dataclass
class ToyRun:
    """A folder with a plan and a file; `commands` are those that were started, `fail` says which end with a code."""

    folder: Path
    plan: str = PLAN
    commands: list[list[str]] = field(default_factory=list)
    fail: Callable[[Sequence[str]], int] = lambda _: 0
    real: tuple[str, ...] = ("split", "analyse")

    def wiring(self) -> Wiring:
        path = self.folder / "run.toml"
        path.write_text(self.plan, encoding="utf-8")
        return Wiring(read_plan(path), self.folder / "work", PARSERS)

    def change(self, old: str, new: str) -> None:
        assert old in self.plan
        self.plan = self.plan.replace(old, new)

    def make(self, **choice: str) -> dict[str, str]:
        """Why each stage was made, by its name; empty for one that was kept."""
        run = Run(self.wiring(), Choice(**choice), lambda _: None)
        return {made.stage.name: made.reason for made in run.make(self.launch, self.folder)}

    def decide(self, **choice: str) -> dict[str, str]:
        run = Run(self.wiring(), Choice(**choice), lambda _: None)
        return {decision.name: decision.reason for decision in run.decide()}

    def launch(self, program: str, arguments: Sequence[str], folder: Path, printed: Path, lock: int) -> int:
        self.commands.append(list(arguments))
        if arguments[0] not in self.real:
            output = output_of(arguments)
            output.mkdir()
            (output / "made.txt").write_text(" ".join(arguments), encoding="utf-8")
            return self.fail(arguments)
        main = trainer_cli.main if program == trainer_cli.PROGRAM else export_cli.main
        with printed.open("w", encoding="utf-8") as file, contextlib.redirect_stdout(file), contextlib.chdir(folder):
            code = main(arguments)
        return self.fail(arguments) or code


def output_of(arguments: Sequence[str]) -> Path:
    """Where a command writes: its --output, the second place of `build`, or scores alone."""
    if arguments[0] == "blend" or "--scores-only" in arguments:
        return score_request(next(word for word in arguments if word.startswith("--score=")).partition("=")[2]).out
    named = [word.removeprefix("--output=") for word in arguments if word.startswith("--output=")]
    return Path(named[0] if named else arguments[2])


@pytest.fixture
def toy_run(tmp_path: Path) -> ToyRun:
    (tmp_path / "my.txt").write_text(toy_content(300, 1), encoding="utf-8")
    return ToyRun(tmp_path)
