"""Tools that check what is under deploy/. Those that pip installs are always there; others are used where they are."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"

HOW_TO_GET = {
    "prometheus": "apt-get install prometheus",
    "promtool": "apt-get install prometheus",
    "systemd-analyze": "apt-get install systemd",
    "kubectl": "it is part of every Kubernetes client; kustomize does as well",
}


def installed(*names: str) -> str:
    """The first of these programs that this machine has, or the test is skipped with how to get it."""
    for name in names:
        if found := shutil.which(name):
            return found
    pytest.skip(f"{names[0]} is not on this machine ({HOW_TO_GET[names[0]]})")


def of_environment(name: str) -> str:
    """A program that came with the developer's packages."""
    return str(Path(sys.executable).with_name(name))


def passes(*command: str | Path) -> str:
    """What a tool prints, which must find nothing wrong."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout
