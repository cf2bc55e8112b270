"""Who may import whom. The rules keep the worker small: it serves without the trainer, and starts without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

ALLOWED = {
    "schemas": {"schemas"},
    "export": {"export", "schemas"},
    "trainer": {"trainer", "export", "schemas"},
    "worker": {"worker", "export", "schemas"},
}
KAFKA_PACKAGE = "worker/kafka/"
VAGUE_NAMES = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}


@dataclass(frozen=True, slots=True)
class Import:
    """One imported name, in full: `from a import b` imports `a.b`."""

    file: str
    line: int
    name: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.name}"


def imports_of(package: str) -> Iterator[Import]:
    for path in sorted((ROOT / package).rglob("*.py")):
        yield from imports_in(path.read_text(encoding="utf-8"), path.relative_to(ROOT))


def imports_in(source: str, path: Path) -> Iterator[Import]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(str(path), node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            # `from . import x` in worker/a/b.py means kuaixun.worker.a.x
            above = ["kuaixun", *path.parts[: -node.level]] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(str(path), node.lineno, f"{module}.{alias.name}")


def forbidden(found: Iterator[Import], allowed: set[str]) -> list[str]:
    """The imports of our own packages that are not allowed."""
    ours = [(one, one.name.split(".")) for one in found]
    return [
        str(one) for one, parts in ours if parts[0] == "kuaixun" and parts[1:] and parts[1] in ALLOWED.keys() - allowed
    ]


@pytest.mark.parametrize("package", ALLOWED)
def test_package_imports_only_what_the_design_allows(package: str) -> None:
    assert list(imports_of(package)), f"{package}/ holds no imports: is the path right?"
    assert forbidden(imports_of(package), ALLOWED[package]) == []


def test_packages_of_the_trainer_import_one_another_in_no_circle() -> None:
    """Those that stand in a folder of their own: what lies beside them serves all, and its cli starts them."""
    needs: dict[str, set[str]] = {path.name: set() for path in (ROOT / "trainer").iterdir() if path.is_dir()}
    for one in imports_of("trainer"):
        room, other = Path(one.file).parts[1], one.name.split(".")[2:3]
        if room in needs and one.name.startswith("kuaixun.trainer.") and other[0] in needs.keys() - {room}:
            needs[room].add(other[0])
    assert needs["student"] >= {"data", "fitting"}, "the trainer's imports were not found: is the path right?"
    TopologicalSorter(needs).prepare()  # raises CycleError, which names the circle


def test_worker_never_imports_training_libraries() -> None:
    roots = {"transformers", "tokenizers", "datasets", "sklearn"}
    assert [str(one) for one in imports_of("worker") if one.name.split(".")[0] in roots] == []


def test_one_package_alone_talks_to_kafka() -> None:
    found = [one for package in ALLOWED for one in imports_of(package) if one.name.split(".")[0] == "confluent_kafka"]
    assert [str(one) for one in found if not one.file.startswith(KAFKA_PACKAGE)] == []
    assert found, f"nothing imports the Kafka client, not even {KAFKA_PACKAGE}"


@pytest.mark.parametrize(
    "module", ["kuaixun.schemas.codec", "kuaixun.export", "kuaixun.export.cli", "kuaixun.worker.cli"]
)
def test_module_starts_without_torch(module: str) -> None:
    program = f"import sys, {module}; print([name for name in ('torch', 'transformers') if name in sys.modules])"
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (outcome.returncode, outcome.stdout.strip()) == (0, "[]"), outcome.stderr


def test_native_engine_serves_without_torch() -> None:
    program = (
        "import sys; from kuaixun.export import open_classifier\n"
        "open_classifier(engine='native').classify(['央行降准'])\n"
        "print('torch' in sys.modules)"
    )
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (outcome.returncode, outcome.stdout.strip()) == (0, "False"), outcome.stderr


@pytest.mark.parametrize("folder", [*ALLOWED, "tests"])
def test_every_module_has_a_name_that_says_what_it_is(folder: str) -> None:
    parts = [part for path in (ROOT / folder).rglob("*.py") for part in path.relative_to(ROOT).with_suffix("").parts]
    assert VAGUE_NAMES.isdisjoint(parts)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import kuaixun.trainer.data", "kuaixun.trainer.data"),
        ("from kuaixun import trainer", "kuaixun.trainer"),
        ("from kuaixun.trainer import data", "kuaixun.trainer.data"),
        ("def f():\n    from ..trainer import data", "kuaixun.trainer.data"),
        ("from .. import trainer", "kuaixun.trainer"),
    ],
)
def test_every_way_to_import_a_forbidden_package_is_seen(source: str, name: str) -> None:
    (found,) = imports_in(source, Path("worker/loop.py"))
    assert found.name == name
    assert forbidden(iter([found]), ALLOWED["worker"]) == [f"worker/loop.py:{found.line} imports {name}"]
