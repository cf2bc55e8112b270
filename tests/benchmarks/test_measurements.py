"""The command that takes the raw figures of the performance page asks for things that there are."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from kuaixun.export.bundle.reader import default_bundle_path, read_manifest
from kuaixun.export.cli import build_parser
from tests.benchmarks.measurements import ROOT, Step, machine, steps, take


@pytest.mark.parametrize("texts", [None, Path("titles.txt")])
def test_every_step_is_a_command_that_writes_a_file_of_the_page(tmp_path: Path, texts: Path | None) -> None:
    page = (ROOT / "docs" / "measurements" / "README.md").read_text(encoding="utf-8")
    program = tmp_path / "kuaixun-bench"
    planned = list(steps(tmp_path, default_bundle_path(), texts, 3, 0.5, program))
    files = {step.file.name for step in planned}
    assert files == {*re.findall(r"`([a-z]+(?:-\d)?\.json)`", page), "speeds-2.json"} - {"machine.json"}
    for step in planned:
        if "kuaixun.export.cli" in step.command:
            options = build_parser().parse_args(step.command[3:])
            assert (options.json, options.bundle) == (step.file, default_bundle_path())
            assert options.texts == (None if options.lengths else texts)
        else:
            assert step.command[0] == str(program) or (ROOT / "tests/benchmarks/vocabulary.py").exists()


def test_what_a_step_prints_becomes_its_file(tmp_path: Path) -> None:
    texts = tmp_path / "titles.txt"
    texts.write_text("甲\n乙\n", encoding="utf-8")
    program = 'import sys; print(\'{"what": "read"}\'); print(\'{"texts": %d}\' % len(sys.stdin.readlines()))'
    take(Step(tmp_path / "native.json", (sys.executable, "-c", program), reads=texts))
    assert json.loads((tmp_path / "native.json").read_bytes()) == [{"what": "read"}, {"texts": 2}]


def test_figures_say_what_they_are_of() -> None:
    said = machine(default_bundle_path())
    assert said["model_id"] == read_manifest(default_bundle_path()).model_id
    assert said["processor"]
    assert json.loads(json.dumps(said)) == said
