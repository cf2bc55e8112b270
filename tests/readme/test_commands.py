"""Every command of README.md and docs/ does what the page says, run as a reader would run it.

`tests.readme.blocks` says how a page marks its commands. The pages put Kafka on port 9092; here it stands on a free
one. `make test`, `make bench` and `make chaos` are looked up, not run: the suite would start itself.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.kafka_broker import BrokerUnavailableError, free_ports, kafka_jars
from tests.readme.blocks import Block, blocks_of

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]
KAFKA_PORT = "9092"
FIRST_LINE_SECONDS = 120
END_SECONDS = 60


def environment() -> dict[str, str]:
    """A reader's environment: the commands on the PATH, no setting of ours, no make above."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("KUAIXUN_") and name not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "ARGS"}
    }
    return kept | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def run(block: Block, script: str) -> None:
    outcome = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    told = f"line {block.line}:\n{script}\nprinted:\n{outcome.stdout}\n{outcome.stderr}"
    assert outcome.returncode == 0, told
    assert block.prints(outcome.stdout), f"{told}\nand the page shows:\n{block.output}"


@contextmanager
def served(block: Block, script: str) -> Iterator[None]:
    """A service: up at its first line, ended by Ctrl-C, and then its exit code counts."""
    with subprocess.Popen(
        ["bash", "-c", f"exec {script}"],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        lines: list[str] = []
        spoke = threading.Event()
        reader = threading.Thread(target=listen, args=(process, lines, spoke))
        reader.start()
        try:
            assert spoke.wait(FIRST_LINE_SECONDS), f"line {block.line}: {script} printed nothing"
            yield
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            reader.join()
    assert process.returncode == 0, f"line {block.line}: {script} ended with {process.returncode}:\n{''.join(lines)}"


def listen(process: subprocess.Popen[str], lines: list[str], spoke: threading.Event) -> None:
    """Read all that a service prints, so that it never waits for its reader; note the first line, or the end."""
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        spoke.set()
    spoke.set()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", PAGES)
def test_every_command_of_the_page_does_what_the_page_says(name: str) -> None:
    blocks = list(blocks_of((ROOT / name).read_text(encoding="utf-8")))
    if any("tests.kafka_broker" in block.script for block in blocks):
        try:
            kafka_jars()
        except BrokerUnavailableError as error:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(f"{name} needs a real Kafka: {error}")
    (port,) = free_ports(1)
    with ExitStack() as services:
        for block in blocks:
            script = re.sub(rf"\b{KAFKA_PORT}\b", str(port), block.script)
            script = re.sub(r"\bmake (test|bench|chaos)\b", r"make -n \1", script)
            if block.service:
                services.enter_context(served(block, script))
            else:
                run(block, script)


def test_pages_name_no_command_that_is_not_there() -> None:
    """Commands in running text, where nothing runs them: `make demo`, `kuaixun-export classify`."""
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    cmake = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "export/cpp").rglob("CMakeLists.txt"))
    programs = re.findall(r"add_executable\((kuaixun-[a-z]+)", cmake)
    for name in PAGES:
        page = (ROOT / name).read_text(encoding="utf-8")
        assert set(re.findall(r"`make ([a-z]+)", page)) <= set(targets), name
        for command in set(re.findall(r"`(kuaixun-[a-z]+)", page)):
            assert command in programs or shutil.which(command, path=environment()["PATH"]), f"{name}: {command}"
