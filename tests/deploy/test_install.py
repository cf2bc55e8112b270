"""The steps of the worker's image, in an environment of their own and from the files that the image is built of."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.deploy.test_containerfile import stages
from tests.deploy.tools import ROOT, passes

# The engine's arithmetic is tested elsewhere. Here it has to be there, and the compiler's finest work takes a minute.
IN_HASTE = {"SKBUILD_CMAKE_BUILD_TYPE": "Debug", "SKBUILD_CMAKE_ARGS": "-DCMAKE_CXX_FLAGS_DEBUG=-O0"}
OF_OURS = ("KUAIXUN_", "PYTHON", "VIRTUAL_ENV", "SKBUILD")


def sent_to_the_builder(folder: Path) -> None:
    """Copy what is committed, or will be, and is not held back by .dockerignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout.splitlines()
    ignored = tuple(
        f"{line}/" for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").split() if "*" not in line
    )
    for name in listed:
        source, target = ROOT / name, folder / name
        if name.startswith(ignored) or not source.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def python_of(folder: Path, *, version: int) -> Path:
    """A Python that is played: it makes environments of itself, and writes down what pip would have been told."""
    python = folder / "python"
    python.write_text(
        f"""#!/bin/sh
case "$*" in
  *version_info*) exit {int(version < 11)} ;;
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && cp /bin/true "$3/bin/kuaixun-export" ;;
  "-m pip "*) echo "$PIP_CONSTRAINT $PIP_BUILD_CONSTRAINT $*" > {folder}/told ;;
esac
""",
        encoding="utf-8",
    )
    python.chmod(0o755)
    return python


def test_what_compiles_the_engine_is_pinned_for_every_pip(tmp_path: Path) -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    assert {name: pinned()[name] for name in (one.split("==")[0] for one in build)} == dict(
        one.split("==") for one in build
    )
    # Of scikit-build-core, by its metadata and, where the machine has none, by its hooks.
    assert {"packaging", "pathspec", "cmake", "ninja"} <= pinned().keys()

    python = python_of(tmp_path, version=11)
    environment = {**os.environ, "PYTHON": str(python)}
    subprocess.run([ROOT / "deploy/install.sh", tmp_path / "made", "worker"], check=True, env=environment)
    by_hand = (tmp_path / "told").read_text(encoding="utf-8")
    by_make = passes("make", "--dry-run", "--always-make", "--directory", ROOT, ".venv/dev-installed")
    assert by_hand.startswith("constraints.txt constraints.txt -m pip install")
    assert "PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt" in by_make


def test_a_python_that_is_too_old_is_refused_with_how_to_name_another(tmp_path: Path) -> None:
    python = python_of(tmp_path, version=9)
    done = subprocess.run(
        [ROOT / "deploy/install.sh", tmp_path / "made", "worker"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHON": str(python)},
    )
    assert done.returncode == 1
    assert f"{python} is not: name another, as in PYTHON=python3.11" in done.stderr
    assert not (tmp_path / "made").exists()


@pytest.mark.timeout(1200)
def test_what_the_image_installs_labels_a_headline_without_torch(tmp_path: Path) -> None:
    if shutil.which("c++") is None:
        pytest.skip("no C++ compiler is on this machine; the image's first stage installs one")
    (command,) = stages()["worker-environment"].all_of("RUN")
    script, _, extras = command.split()
    source, environment = tmp_path / "source", tmp_path / "environment"
    sent_to_the_builder(source)
    of_a_stranger = {name: value for name, value in os.environ.items() if not name.startswith(OF_OURS)}
    installed = subprocess.run(
        [str(source / script), str(environment), extras],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**of_a_stranger, **IN_HASTE, "PIP_NO_COMPILE": "1"},
    )
    assert installed.returncode == 0, f"{installed.stdout}{installed.stderr}"
    shutil.rmtree(source)  # as the image leaves it behind
    labelled = subprocess.run(
        [str(environment / "bin" / "kuaixun-export"), "classify"],
        input="主队加时绝杀晋级四强 门将扑出点球\n",
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=of_a_stranger,
    )
    assert json.loads(labelled.stdout)["label"] == "sports", labelled.stderr
    worker = subprocess.run(
        [str(environment / "bin" / "kuaixun-worker"), "--version"], capture_output=True, check=False, env=of_a_stranger
    )
    assert worker.returncode == 0
    packages = {path.name for path in environment.glob("lib/python*/site-packages/*")}
    assert not packages & {"torch", "transformers"}
