"""Worker processes as an operator starts them, and what can befall them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.chaos.topics import DEAD_LETTERS, LABELLED, RAW

END_SECONDS = 60
SESSION_MILLISECONDS = 6000
BEGUN = f"reading {RAW} ".encode()  # what a worker logs once it is open


class Worker:
    """One place in the group, held by one process after another. What they print goes to `worker-N.log`.

    `ended_alone` holds the exit codes of those that ended unasked, `ended_in_order` of those that were asked to
    (0 where it was in order).
    """

    def __init__(self, index: int, bootstrap: str, logs: Path) -> None:
        self._environment = os.environ | {
            "KUAIXUN_BOOTSTRAP_SERVERS": bootstrap,
            "KUAIXUN_INPUT_TOPIC": RAW,
            "KUAIXUN_OUTPUT_TOPIC": LABELLED,
            "KUAIXUN_DEAD_LETTER_TOPIC": DEAD_LETTERS,
            "KUAIXUN_CONSUMER__SESSION_TIMEOUT_MS": str(SESSION_MILLISECONDS),
            "KUAIXUN_THREADS": "1",
        }
        logs.mkdir(parents=True, exist_ok=True)
        self._log = logs / f"worker-{index}.log"
        self._log.unlink(missing_ok=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._thaw_at: float | None = None
        self._log_starts_at = 0
        self.ended_alone: list[int] = []
        self.ended_in_order: list[int] = []

    def start(self) -> None:
        """Start a process; it joins the group when it is up."""
        with self._log.open("ab") as log:
            self._log_starts_at = log.tell()
            self._process = subprocess.Popen(
                [Path(sys.executable).with_name("kuaixun-worker"), "run"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )

    def kill(self) -> None:
        """SIGKILL: no chance to commit or to say goodbye."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process, self._thaw_at = None, None

    def terminate(self) -> None:
        """SIGTERM, and wait. A process that lingers is killed, which shows in its exit code.

        One that is still starting is let go on first: before it listens to signals it has no order to end in.
        """
        if self._process is None:
            return
        self._thaw()
        self._await_beginning(self._process)
        if self._process.poll() is not None:
            self.ended_alone.append(self._process.returncode)
        else:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
            self.ended_in_order.append(self._process.wait())
        self._process = None

    def freeze(self, seconds: float) -> None:
        """SIGSTOP until `seconds` from now."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)
            self._thaw_at = time.monotonic() + seconds

    def tend(self) -> None:
        """What a supervisor does: let a frozen process go on once its time is over, replace one that has ended."""
        if self._thaw_at is not None and time.monotonic() >= self._thaw_at:
            self._thaw()
        if self._process is not None and self._process.poll() is not None:
            self.ended_alone.append(self._process.returncode)
            self.start()

    def _await_beginning(self, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + END_SECONDS
        while process.poll() is None and time.monotonic() < until:
            if BEGUN in self._log.read_bytes()[self._log_starts_at :]:
                return
            time.sleep(0.05)

    def _thaw(self) -> None:
        if self._process is not None and self._thaw_at is not None:
            self._process.send_signal(signal.SIGCONT)
        self._thaw_at = None
