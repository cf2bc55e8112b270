"""The installed library as another program meets it: found, linked against, and nothing shown but the C interface."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kuaixun.export import open_classifier
from kuaixun.export.bundle.reader import default_bundle_path
from tests.export.cpp_build import ROOT, SOURCE

TEXT = "主队加时绝杀晋级四强 门将扑出点球"


@pytest.fixture(scope="module")
def prefix(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Installed, and then moved: whatever finds its neighbours by an absolute path finds nothing."""
    folder = tmp_path_factory.mktemp("prefix")
    subprocess.run(["cmake", "--install", runtime, "--prefix", folder / "installed"], check=True, capture_output=True)
    return Path(shutil.move(folder / "installed", folder / "moved"))


@pytest.fixture(scope="module")
def library(prefix: Path) -> Path:
    [library] = prefix.glob("lib*/**/libkuaixun.so")
    return library


def printed(*command: str | Path, **environment: str) -> str:
    return subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=ROOT, env={**os.environ, **environment}
    ).stdout


def assert_labels(program: Path, **environment: str) -> None:
    classifier = open_classifier(engine="native", threads=1)
    predicted = classifier.classify([TEXT])
    expected = f"{classifier.labels[predicted.label_ids[0]]} {predicted.confidences[0]:.6f}\nnothing to label\n"
    assert printed(program, default_bundle_path(), TEXT, "<br/>", **environment) == expected


def test_the_library_shows_the_functions_of_its_header_and_nothing_else(library: Path, prefix: Path) -> None:
    if shutil.which("nm") is None:
        pytest.skip("there is no nm, which comes with the compiler's own tools")
    header = (prefix / "include" / "kuaixun" / "kuaixun.h").read_text(encoding="utf-8")
    declared = set(re.findall(r"^KUAIXUN_API .*?\b(kuaixun_\w+)\(", header, re.MULTILINE))
    shown = {line.split()[-1] for line in printed("nm", "-D", "--defined-only", library).splitlines()}
    assert shown == declared
    assert "kuaixun_classify" in declared


def test_a_program_in_c_finds_the_package_wherever_it_lies(prefix: Path, tmp_path: Path) -> None:
    flags = "-DCMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Werror"
    build = tmp_path / "build"
    printed("cmake", "-S", SOURCE / "examples" / "c", "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}", flags)
    printed("cmake", "--build", build)
    assert_labels(build / "kuaixun-label")


def test_another_version_than_asked_for_is_not_found(prefix: Path, tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\nproject(asks LANGUAGES C)\nfind_package(kuaixun 0.2 REQUIRED)\n"
    )
    command = ["cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}"]
    asked = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert asked.returncode != 0
    assert "version: 0.1.0" in asked.stderr


def test_the_commands_of_the_page_with_pkg_config_do_what_it_says(prefix: Path, library: Path, tmp_path: Path) -> None:
    if shutil.which("pkg-config") is None:
        pytest.skip("pkg-config is not installed")
    page = (ROOT / "docs" / "linking.md").read_text(encoding="utf-8")
    [script] = [block for block in re.findall(r"```text\n(.*?)```", page, re.DOTALL) if "pkg-config" in block]
    script = script.replace("build/prefix/lib", str(library.parent)).replace("$PWD//", "/")
    script = script.replace("build/label", str(tmp_path / "label"))
    assert re.fullmatch(r"sports 0\.\d{6}\n", printed("sh", "-euc", script))
    assert_labels(tmp_path / "label")
    assert (
        printed("pkg-config", "--modversion", "kuaixun", PKG_CONFIG_PATH=str(library.parent / "pkgconfig")) == "0.1.0\n"
    )


def test_what_the_example_is_refused_for_it_says(prefix: Path, runtime: Path, tmp_path: Path) -> None:
    program = tmp_path / "label"
    flags = [f"-I{prefix / 'include'}", f"-L{runtime}", "-lkuaixun", f"-Wl,-rpath,{runtime}"]
    printed("cc", "-o", program, SOURCE / "examples" / "c" / "label.c", *flags)
    done = subprocess.run([program, tmp_path, "a"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"kuaixun-label: {tmp_path}/manifest.json cannot be read" in done.stderr


def test_the_library_can_be_part_of_anothers_build(tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\nproject(other LANGUAGES C CXX)\n"
        f"add_subdirectory({SOURCE} kuaixun EXCLUDE_FROM_ALL)\nadd_executable(label {SOURCE}/examples/c/label.c)\n"
        "target_link_libraries(label PRIVATE kuaixun::kuaixun)\n"
    )
    printed("cmake", "-S", tmp_path, "-B", tmp_path / "build")
