"""`kuaixun-classify` and `kuaixun-bench` at the edges of their command lines and of the streams they are given."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.export.cpp_build import built

LINES = 3000
PIPE_BYTES = 1 << 16
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")  # a pipe is full where a page of it is begun
MOMENT_SECONDS = 0.1


@pytest.fixture
def program(runtime: Path) -> Path:
    return runtime / "kuaixun-classify"


def run(program: Path, *options: str | Path, text: str = "央行降准\n") -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *options], input=text, capture_output=True, text=True, check=False)


def bytes_in(pipe: int) -> int:
    """How many bytes wait to be read."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_options_may_be_joined_to_their_values(program: Path, bundle_path: Path) -> None:
    apart = run(program, "--bundle", bundle_path, "--precision", "bf16", "--threads", "2")
    joined = run(program, f"--bundle={bundle_path}", "--precision=bf16", "--threads=2")
    assert (joined.returncode, joined.stdout) == (0, apart.stdout)
    assert joined.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("--bundle=", "--bundle: the name is empty"),
        ("--threads=", "--threads : expected a whole number"),
        ("--precision=int4", "--precision int4: choose"),
        ("--golden=yes", "unrecognized argument: --golden=yes"),
        ("--bundles=x", "unrecognized argument: --bundles=x"),
    ],
)
def test_a_joined_value_that_cannot_be_used_is_refused(program: Path, option: str, reason: str) -> None:
    done = run(program, option)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"kuaixun-classify: {reason}")


def test_help_has_a_short_name(program: Path) -> None:
    assert run(program, "-h").stdout == run(program, "--help").stdout
    assert run(program, "-h").stdout.startswith("usage: kuaixun-classify --bundle")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("option", ["--help", "-h", "--version"])
def test_help_that_nobody_can_have_read_is_no_success_in_either_language(program: Path, option: str) -> None:
    python = [sys.executable, "-m", "kuaixun.export.cli"]
    for name, command in (("kuaixun-classify", [str(program)]), ("kuaixun-export", python)):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run([*command, option], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr.startswith(f"{name}: ")
        assert done.stderr.endswith("No space left on device\n")
        assert done.stderr.count("\n") == 1


def test_a_folder_that_is_not_there_is_told_with_what_to_do_as_python_tells_it(program: Path, tmp_path: Path) -> None:
    told = f"there is no bundle at {tmp_path / 'none'}: no such folder. Name the folder of a bundle.\n"
    done = run(program, "--bundle", tmp_path / "none")
    assert (done.returncode, done.stderr) == (3, f"kuaixun-classify: {told}")
    (tmp_path / "file").write_text("")
    assert f"there is no bundle at {tmp_path / 'file'}: no such" in run(program, "--bundle", tmp_path / "file").stderr
    (tmp_path / "empty").mkdir()
    assert "manifest.json cannot be read" in run(program, "--bundle", tmp_path / "empty").stderr


@pytest.mark.parametrize("language", ["cpp", "python"])
def test_streams_that_do_not_block_are_waited_for(program: Path, bundle_path: Path, language: str) -> None:
    """As a terminal's are, or a socket's, where another program of the same shell has set them so."""
    expected = run(program, "--bundle", bundle_path, text="央行降准\n" * LINES).stdout.encode()
    assert len(expected) > 2 * PIPE_BYTES, "so that the program finds its output full"
    input_read, input_write = os.pipe()
    output_read, output_write = os.pipe()
    for descriptor in (input_read, output_write):
        os.set_blocking(descriptor, False)
    python = [sys.executable, "-m", "kuaixun.export.cli", "classify", "--engine", "native"]
    command = [*([str(program)] if language == "cpp" else python), "--bundle", str(bundle_path)]
    with subprocess.Popen(command, stdin=input_read, stdout=output_write, stderr=subprocess.PIPE) as process:
        os.close(input_read)
        os.close(output_write)
        os.write(input_write, "央行降准\n".encode())
        answers = os.read(output_read, 1 << 20)
        time.sleep(MOMENT_SECONDS)  # in which it finds its input empty
        os.write(input_write, "央行降准\n".encode() * (LINES - 1))
        os.close(input_write)
        while process.poll() is None and bytes_in(output_read) <= PIPE_BYTES - PAGE_BYTES:
            time.sleep(MOMENT_SECONDS)
        time.sleep(MOMENT_SECONDS)  # in which it finds its output full
        while block := os.read(output_read, 1 << 20):
            answers += block
        assert process.stderr is not None
        assert (process.wait(60), process.stderr.read()) == (0, b"")
    os.close(output_read)
    assert answers == expected


@pytest.fixture(scope="module")
def bench(runtime: Path) -> Path:
    return built(runtime.name, "-DKUAIXUN_BENCH=ON") / "kuaixun-bench"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "expected one to three arguments"),
        (("x", "1", "1", "1"), "expected one to three arguments"),
        *((("x", seconds), f"SECONDS {seconds}: ") for seconds in ("", "0", "-1", "nan", "inf", "1s", "3601")),
        *((("x", "1", threads), f"THREADS {threads}: ") for threads in ("", "0", "-1", "1.5", "2x", "1025")),
    ],
)
def test_a_benchmark_takes_no_number_that_it_cannot_use(bench: Path, arguments: tuple[str, ...], reason: str) -> None:
    done = run(bench, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"kuaixun-bench: {reason}")


def test_a_benchmark_measures_every_precision(bench: Path, bundle_path: Path) -> None:
    done = run(bench, str(bundle_path), "0.01", "2")
    assert done.returncode == 0, done.stderr
    measured = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["what"].split()[0] for line in measured} == {"read", "encode", "int8", "bf16", "fp32"}
    assert {line["threads"] for line in measured if line["what"] not in {"read", "encode"}} == {2}
