"""Workers as an operator starts them, measured from outside."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kuaixun.worker.kafka.membership import GroupProtocol
from tests.worker.topics import Topics

PATIENCE_SECONDS = 120


class Process:
    """A process of a group's member; what it says on standard error is kept."""

    def __init__(self, command: list[str], stdout: int = subprocess.DEVNULL) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True)
        self.said: list[str] = []
        self._assigned = threading.Event()
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    def wait_for_share(self) -> None:
        """Until the group has given it partitions, or none. Raises RuntimeError where it ends before."""
        if not self._assigned.wait(PATIENCE_SECONDS) or self.process.poll() is not None:
            raise RuntimeError(f"no member of the group: {''.join(self.said)}")

    def end(self, number: signal.Signals) -> None:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        self.process.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        """End it at once, and what listens to it."""
        self.process.kill()
        self.process.wait()
        self._listening.join(PATIENCE_SECONDS)

    def kilobytes(self, what: str) -> int:
        """VmRSS is what is resident now, VmHWM the most that ever was."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        found = re.search(rf"^{what}:\s+(\d+) kB$", status, re.MULTILINE)
        if found is None:
            raise RuntimeError(f"{what} is not in {status}")
        return int(found[1])

    def processor_seconds(self) -> float:
        """What it has taken of all processors so far, the kernel's work for it included, to the nanosecond."""
        # What clock_getcpuclockid(3) gives for the process of an id; /proc counts in hundredths of a second.
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def _listen(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self.said.append(line)
                if "assigned" in line:
                    self._assigned.set()
        self._assigned.set()


@contextmanager
def ended(process: Process) -> Iterator[Process]:
    """A process that is ended at the latest with the context."""
    try:
        yield process
    finally:
        process.kill()


def worker(topics: Topics, *flags: str, protocol: GroupProtocol = GroupProtocol.COOPERATIVE) -> Process:
    """`kuaixun-worker run` with its own defaults, but for one thread and a session of the tests'."""
    of_the_group = topics.flags()
    if protocol is GroupProtocol.CONSUMER:  # there the session is the broker's to set
        of_the_group = of_the_group[: of_the_group.index("--consumer")]
    command = [sys.executable, "-m", "kuaixun.worker.cli", "run", *of_the_group, "--group-protocol", protocol]
    return Process([*command, "--threads", "1", *flags])
