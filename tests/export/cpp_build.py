"""Building the C++ runtime for tests: out of tree, under `build/`, anew wherever a source has changed."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "export" / "cpp"


def built(name: str, *options: str, source: Path = SOURCE) -> Path:
    """The folder `build/name` with everything built in it. Skips the test where cmake or a compiler is missing."""
    needs_compiler()
    build = ROOT / "build" / name
    build.mkdir(parents=True, exist_ok=True)
    # Several processes run the tests, and cmake wants a folder for itself.
    with (build / "one-at-a-time").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        configured = done(["cmake", *generator(build), "-S", str(source), "-B", str(build), *options])
        if _lacks_googletest(configured.stderr):
            pytest.skip("the C++ unit tests need GoogleTest, which no step installs (Debian's libgtest-dev)")
        for finished in (configured, done(["cmake", "--build", str(build), "--parallel", str(os.cpu_count() or 1)])):
            assert finished.returncode == 0, finished.stdout + finished.stderr
    return build


def _lacks_googletest(said: str) -> bool:
    """Whether the configuration ended because GoogleTest is nowhere, and not for anything wrong around it."""
    return "Could NOT find GTest" in said


def needs_compiler() -> None:
    """Skip the test where cmake or a compiler is missing, which in CI they may not be."""
    if shutil.which("cmake") is None or all(shutil.which(name) is None for name in ("c++", "g++", "clang++")):
        if os.environ.get("CI") == "true":
            pytest.fail("cmake and a C++ compiler are needed")
        pytest.skip("cmake or a C++ compiler is not installed")


def generator(build: Path) -> list[str]:
    """Ninja for a new folder, where there is one. A folder keeps what it was made with."""
    return ["-G", "Ninja"] if shutil.which("ninja") and not (build / "CMakeCache.txt").exists() else []


def done(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(command, capture_output=True, text=True, check=False)
