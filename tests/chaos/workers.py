"""Worker processes as an operator starts them, and what can befall them and their network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.chaos.topics import DEAD_LETTERS, EVENTS, RAW
from tests.tcp_proxy import Network, TcpProxy

END_SECONDS = 60.0
BEGUN = f"reading {RAW} ".encode()  # what a worker logs once it is open


class Worker:
    """One place in the group, held by one process after another, behind a network of its own.

    Nothing here blocks: `tend` sees to what is due, and is to be called often. What the processes print goes to
    `worker-N.log`. `ended_alone` holds the exit codes of those that ended unasked, `ended_in_order` and
    `ended_cut_off` of those that were asked to, the latter with their network or the broker gone in between.
    """

    def __init__(self, index: int, door: TcpProxy, settings: Mapping[str, str], logs: Path) -> None:
        self._door = door
        self.name = f"chaos-{index}"
        self._environment = (
            os.environ
            | settings
            | {
                "KUAIXUN_BOOTSTRAP_SERVERS": f"127.0.0.1:{door.port}",
                "KUAIXUN_INPUT_TOPIC": RAW,
                "KUAIXUN_OUTPUT_TOPIC": EVENTS,
                "KUAIXUN_DEAD_LETTER_TOPIC": DEAD_LETTERS,
                "KUAIXUN_THREADS": "1",
                "KUAIXUN_CONSUMER__CLIENT_ID": self.name,
                "PYTHONFAULTHANDLER": "1",  # where one that does not end hangs
            }
        )
        self._log = logs / f"worker-{index}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._log_starts_at = 0
        self._wanted = self._leaving = self._cut_off = self._open = False
        self._told_at = self._thaw_at = self._heal_at = 0.0
        self.starts = self.times_begun = 0
        self.ended_alone: list[int] = []
        self.ended_in_order: list[int] = []
        self.ended_cut_off: list[int] = []

    @property
    def at_work(self) -> bool:
        """Whether this place is to be held."""
        return self._wanted

    @property
    def troubled(self) -> bool:
        """Whether something is still wrong with it, or a process is still coming or going."""
        if self._process is None:
            return self._wanted
        return bool(self._leaving or self._thaw_at or self._heal_at) or not self._begun()

    @property
    def whole(self) -> bool:
        """Whether a process is at work, undisturbed: who can be struck."""
        return self._wanted and not self.troubled and self._process is not None and self._process.poll() is None

    @property
    def vacant(self) -> bool:
        """Whether nobody holds this place, nor is leaving it."""
        return not self._wanted and self._process is None

    @property
    def times_asked(self) -> int:
        """How many processes have ended after they were told to."""
        return len(self.ended_in_order) + len(self.ended_cut_off)

    @property
    def times_disturbed(self) -> int:
        """How much of its traffic was disturbed so far."""
        return self._door.disturbed

    def start(self) -> None:
        """Hold the place: a process joins the group when it is up."""
        self._wanted = True
        if self._process is not None:
            return
        with self._log.open("ab") as log:
            self._log_starts_at, self._open = log.tell(), False
            self.starts += 1
            self._process = subprocess.Popen(
                [Path(sys.executable).with_name("kuaixun-worker"), "run"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )

    def kill(self) -> bool:
        """SIGKILL, without a chance to commit or to say goodbye; then a new process. Whether that is what ended it."""
        if self._process is None:
            return False
        self._process.kill()
        if (code := self._process.wait()) != -signal.SIGKILL:
            self.ended_alone.append(code)
        self._process, self._leaving, self._thaw_at = None, False, 0.0
        if self._wanted:
            self.start()
        return code == -signal.SIGKILL

    def terminate(self, *, for_good: bool = False) -> None:
        """SIGTERM, once it listens to signals; then a new process, unless this is for good.

        A process that lingers for END_SECONDS is ended with SIGABRT, which shows where it hangs.
        """
        self._wanted = not for_good
        if self._process is None or self._leaving:
            return
        self._thaw()
        self._leaving, self._told_at = True, 0.0
        self._cut_off = self._door.network is not Network.WHOLE

    def freeze(self, seconds: float) -> bool:
        """SIGSTOP until `seconds` from now; whether a process stands still."""
        if self._process is None or self._leaving:
            return False
        self._process.send_signal(signal.SIGSTOP)
        self._thaw_at = time.monotonic() + seconds
        state = os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        return state is not None and state.si_code == os.CLD_STOPPED

    def spoil(self, network: Network, seconds: float) -> None:
        """Its network is so until `seconds` from now."""
        self._door.set_network(network)
        self._heal_at = time.monotonic() + seconds
        self._cut_off = self._cut_off or self._leaving

    def lose_the_broker(self) -> None:
        """The broker goes, which is as good as the network to one that is just leaving."""
        self._cut_off = self._cut_off or self._leaving

    def tend(self) -> None:
        """What is due by now, and what a supervisor does: replace a process that has ended."""
        now = time.monotonic()
        if self._thaw_at and now >= self._thaw_at:
            self._thaw()
        if self._heal_at and now >= self._heal_at:
            self._door.set_network(Network.WHOLE)
            self._heal_at = 0.0
        if self._process is None:
            return
        code = self._process.poll()
        if code is None:
            if self._leaving:
                self._see_out(self._process, now)
            return
        asked = self._leaving and self._told_at
        (self.ended_alone if not asked else self.ended_cut_off if self._cut_off else self.ended_in_order).append(code)
        self._process, self._leaving, self._thaw_at = None, False, 0.0
        if self._wanted:
            self.start()

    def _see_out(self, process: subprocess.Popen[bytes], now: float) -> None:
        if not self._told_at:
            # Before it listens to signals it has no order to end in.
            if self._begun():
                process.send_signal(signal.SIGTERM)
                self._told_at = now
        elif now >= self._told_at + END_SECONDS:
            process.send_signal(signal.SIGABRT)
            self._told_at = now

    def _begun(self) -> bool:
        if not self._open:
            with self._log.open("rb") as log:
                log.seek(self._log_starts_at)
                self._open = BEGUN in log.read()
            self.times_begun += self._open
        return self._open

    def _thaw(self) -> None:
        if self._process is not None and self._thaw_at:
            self._process.send_signal(signal.SIGCONT)
        self._thaw_at = 0.0
