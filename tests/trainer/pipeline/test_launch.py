"""Commands in processes of their own: their output, their code, and Ctrl-C."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kuaixun import __version__
from kuaixun.export.command_line import INTERRUPTED_EXIT_CODE
from kuaixun.trainer.interrupts import terminations_as_interrupts
from kuaixun.trainer.pipeline.launch import MODULES, in_a_process
from kuaixun.trainer.pipeline.stage import EXPORT, TRAINER


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[int]:
    with (tmp_path / "lock").open("w") as file:
        yield file.fileno()


def test_what_a_command_prints_becomes_a_file_and_its_code_is_told(tmp_path: Path, lock: int) -> None:
    assert in_a_process(EXPORT, ["--version"], tmp_path, tmp_path / "printed.txt", lock) == 0
    assert __version__ in (tmp_path / "printed.txt").read_text()
    assert in_a_process(EXPORT, ["nonsense"], tmp_path, tmp_path / "printed.txt", lock) == 2


def test_a_file_beside_the_data_is_not_imported(tmp_path: Path, lock: int) -> None:
    (tmp_path / "argparse.py").write_text("raise SystemExit(7)")

    assert in_a_process(EXPORT, ["--version"], tmp_path, tmp_path / "printed.txt", lock) == 0


def test_ctrl_c_reaches_the_command_whose_end_is_waited_for(
    tmp_path: Path, lock: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODULES, TRAINER, "timeit")
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()

    code = in_a_process(
        TRAINER, ["-n", "1", "-r", "1", "import time; time.sleep(100)"], tmp_path, tmp_path / "printed", lock
    )

    timer.join()
    assert code == 1


def test_a_command_can_be_ended_from_where_sigint_is_ignored(
    tmp_path: Path, lock: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a shell without a terminal runs in the background ignores SIGINT; `run` is ended by SIGTERM there."""
    monkeypatch.setitem(MODULES, TRAINER, "timeit")
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    try:
        with terminations_as_interrupts():
            code = in_a_process(
                TRAINER, ["-n", "1", "-r", "1", "import time; time.sleep(20)"], tmp_path, tmp_path / "printed", lock
            )
            timer.join()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)

    assert code == INTERRUPTED_EXIT_CODE


def test_sigterm_reaches_the_command_as_itself(tmp_path: Path, lock: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that ends both sends it to the command as well, which takes the two as one, unlike Ctrl-C."""
    monkeypatch.setitem(MODULES, TRAINER, "cProfile")
    (tmp_path / "waits.py").write_text(
        "import os, signal\n"
        "signal.signal(signal.SIGTERM, lambda *_: os._exit(7))\n"
        "os.kill(os.getppid(), signal.SIGTERM)\n"
        "signal.pause()\n"
    )

    with terminations_as_interrupts():
        assert in_a_process(TRAINER, ["waits.py"], tmp_path, tmp_path / "printed", lock) == 7


def test_a_command_that_dies_of_ctrl_c_was_interrupted(
    tmp_path: Path, lock: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was about to end has taken its own handler down."""
    monkeypatch.setitem(MODULES, TRAINER, "cProfile")
    (tmp_path / "dies.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")

    assert in_a_process(TRAINER, ["dies.py"], tmp_path, tmp_path / "printed", lock) == INTERRUPTED_EXIT_CODE


def test_a_command_holds_the_lock_of_the_work_folder(
    tmp_path: Path, lock: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the run is killed its command lives on, and another run must not begin in its folder."""
    monkeypatch.setitem(MODULES, TRAINER, "timeit")
    fcntl.flock(lock, fcntl.LOCK_EX)
    statement = f"import os; os.write(1, os.readlink('/proc/self/fd/{lock}').encode())"

    assert in_a_process(TRAINER, ["-n", "1", "-r", "1", statement], tmp_path, tmp_path / "printed", lock) == 0

    assert str(tmp_path / "lock") in (tmp_path / "printed").read_text()
