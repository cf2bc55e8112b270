"""The steps of the worker's image, in an environment of their own and from the files that the image is built of."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.test_containerfile import stages
from tests.deploy.tools import ROOT

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
