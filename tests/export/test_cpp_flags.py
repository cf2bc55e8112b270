"""What the C++ build makes of CXXFLAGS: one build runs on every processor of the family."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.export.cpp_build import SOURCE, needs_compiler


def configured(build: Path, flags: str, *options: str) -> subprocess.CompletedProcess[str]:
    """The build, configured with these CXXFLAGS."""
    needs_compiler()
    command = ["cmake", "-S", str(SOURCE), "-B", str(build), "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", *options]
    environment = {**os.environ, "CXXFLAGS": flags}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def macros(build: Path, source: str) -> set[str]:
    """What the compiler defines by itself when it compiles a source file as the build would."""
    [entry] = [entry for entry in json.loads((build / "compile_commands.json").read_bytes()) if is_of(entry, source)]
    command = shlex.split(entry["command"])
    command = [*command[: command.index("-o")], "-dM", "-E", "-x", "c++", os.devnull]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=entry["directory"]).stdout
    return {line.split()[1] for line in printed.splitlines()}


def is_of(entry: dict[str, str], source: str) -> bool:
    return Path(entry["file"]).name == source


@pytest.fixture
def x86() -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("the flags are those of x86-64")


@pytest.mark.usefixtures("x86")
def test_a_march_of_the_user_changes_neither_where_it_runs_nor_what_is_chosen(tmp_path: Path) -> None:
    done = configured(tmp_path, "-march=x86-64-v3")
    assert done.returncode == 0, done.stderr
    for source in ("student_kernel_portable.cc", "student_kernel.cc", "bundle.cc", "kuaixun_classify.cc"):
        assert not macros(tmp_path, source) & {"__SSE3__", "__AVX__", "__BMI__"}, source
    assert "__AVX2__" in macros(tmp_path, "student_kernel_avx2.cc")
    assert "__AVX512F__" not in macros(tmp_path, "student_kernel_avx2.cc")
    assert "__AVX512BW__" in macros(tmp_path, "student_kernel_avx512.cc")


@pytest.mark.usefixtures("x86")
@pytest.mark.parametrize("flags", ["-mavx2", "-O2 -mbmi2", "-ffast-math", "-ffinite-math-only"])
def test_a_flag_that_cannot_be_overruled_is_refused(tmp_path: Path, flags: str) -> None:
    done = configured(tmp_path, flags)
    assert done.returncode != 0
    assert f"CXXFLAGS, '{flags} -O3 -DNDEBUG', name instructions" in " ".join(done.stderr.split())


@pytest.mark.usefixtures("x86")
@pytest.mark.parametrize("flags", ["-O3 -mavx2", "-Ofast"])
def test_a_configurations_own_flags_are_looked_at_too(tmp_path: Path, flags: str) -> None:
    done = configured(tmp_path / "release", "", f"-DCMAKE_CXX_FLAGS_RELEASE={flags}")
    assert done.returncode != 0
    assert f"CXXFLAGS, '{flags}', name instructions" in " ".join(done.stderr.split())


def test_arithmetic_that_does_not_round_is_overruled_where_the_compiler_does_not_say_so(tmp_path: Path) -> None:
    """As Clang does not of -funsafe-math-optimizations."""
    assert configured(tmp_path, "").returncode == 0
    for entry in json.loads((tmp_path / "compile_commands.json").read_bytes()):
        command = shlex.split(entry["command"])
        assert {"-fno-fast-math", "-fno-finite-math-only", "-fno-unsafe-math-optimizations"} <= {*command}
        # To Clang -fno-fast-math allows fused multiply-adds again.
        assert command.index("-O3") < command.index("-fno-fast-math") < command.index("-ffp-contract=off")
