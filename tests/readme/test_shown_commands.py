"""Commands that a page shows and no test runs are ones that the programs take, flag by flag."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.readme.parsers import faults
from tests.readme.shown import Shown, commands_of, shown_on

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("name", PAGES)
def test_every_command_that_is_shown_is_one_that_its_program_takes(name: str) -> None:
    shown = shown_on((ROOT / name).read_text(encoding="utf-8"))
    assert [f"{name}:{one.line}: {fault}" for one in shown for fault in faults(one.words, whole=one.whole)] == []


def test_commands_are_found_where_no_test_runs_them_with_their_lines() -> None:
    page = (
        "a `make demo` and\n\n    kuaixun-worker \\\n      run\n\n```sh\nmake test\n```\n"
        "```text\nA=1 kuaixun-export verify \\\n  --bundle B | cat\necho\n```\n`kuaixun-trainer run\nb`\n"
    )
    assert sorted(shown_on(page), key=lambda one: one.line) == [
        Shown(1, ("make", "demo"), whole=False),
        Shown(3, ("kuaixun-worker", "run"), whole=True),
        Shown(10, ("kuaixun-export", "verify", "--bundle", "B"), whole=True),
        Shown(10, ("cat",), whole=True),
        Shown(12, ("echo",), whole=True),
        Shown(14, ("kuaixun-trainer", "run", "b"), whole=False),
    ]


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("kuaixun-worker replay --dry-runs", "unrecognized arguments: --dry-runs"),
        ("kuaixun-export verify --public-keys public.pem", "unrecognized arguments: --public-keys"),
        ("kuaixun-export verified", "invalid choice"),
        ("kuaixun-trainer split --data all.csv", "required: --output"),
        ("kuaixun-classify --bundle B --gold", "kuaixun-classify has no --gold"),
        ("build/libtorch/kuaixun-libtorch --bundle B --gpu", "kuaixun-libtorch has no --gpu"),
        ("python -m tests.benchmarks.worker memories", "invalid choice: 'memories'"),
        ("python -m tests.chaos --fault 3 --no-such", "tests.chaos has no --no-such"),
        ("python -m tests.no_such --seed 1", "there is no module tests.no_such"),
        ("make demo ARGS='--second 300'", "unrecognized arguments: --second"),
        ("make no-such", "No rule to make target"),
        ("kuaixun-workers run", "there is no program kuaixun-workers"),
        ("sudo kuaixun-worker runs", "invalid choice"),
    ],
)
def test_what_a_program_would_refuse_is_a_fault(command: str, fault: str) -> None:
    (words,) = commands_of(command)
    assert fault in "\n".join(faults(words))


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("kuaixun-trainer distil --help", None),
        ("kuaixun-trainer distil --no-such", "kuaixun-trainer distil has no --no-such"),
        ("kuaixun-trainer distill", "kuaixun-trainer has no command distill"),
    ],
)
def test_in_a_sentence_what_is_required_may_be_left_out(command: str, fault: str | None) -> None:
    (words,) = commands_of(command)
    assert list(faults(words, whole=False)) == ([fault] if fault else [])
