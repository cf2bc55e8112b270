"""Signs of life for whatever supervises the worker: that its loop turns, which a process may exist without.

Beside the headline's journey: the loop tells of each turn here, and here it is passed on, once a second at most.

    a heartbeat file   for a probe of Kubernetes: its age, and `ready` in it once the group has given its share
    systemd            READY=1 with the first share, WATCHDOG=1 from then on
    all stacks         on standard error, once each time the loop stands still for longer than it ever should
"""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from kuaixun.worker.errors import SettingError
from kuaixun.worker.systemd import READY, WATCHDOG, tell_systemd

LOG = logging.getLogger(__name__)

TELL_EVERY_SECONDS = 1.0
STUCK_BEYOND_SECONDS = 60.0  # so much longer than the longest turn is not waiting any more, but standing still


class Life:
    """Tells of turns for as long as the context lasts. `stacks` is the file that stacks go to; `monotonic` a clock.

    One a process, for the interpreter has one alarm alone. That sounds even where a call into C never gives the
    interpreter back, in which no thread of Python's would ever run again.
    """

    def __init__(
        self,
        stuck_seconds: float,
        heartbeat_file: Path | None = None,
        stacks: TextIO | None = sys.__stderr__,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stuck_seconds, self._file = stuck_seconds, heartbeat_file
        self._stacks, self._monotonic = stacks, monotonic
        self._ready = False
        self._tell_at = 0.0
        self._turned_at = monotonic()

    def __enter__(self) -> Self:
        if self._file is not None:
            try:
                self._file.unlink(missing_ok=True)  # one that is left of a worker that was killed says nothing of this
                self._file.touch()
            except OSError as error:
                raise SettingError(
                    f"KUAIXUN_HEARTBEAT_FILE cannot be written at {self._file}: {error.strerror}. Name a file in a "
                    "folder that this user may write to."
                ) from None
        self._set_alarm()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        faulthandler.cancel_dump_traceback_later()
        if self._file is not None:
            with suppress(OSError):
                self._file.unlink(missing_ok=True)

    def turned(self, ready: bool) -> None:
        """The loop has turned; `ready` once the group has given this worker its share. For the loop's thread."""
        now = self._monotonic()
        stood_seconds, self._turned_at = now - self._turned_at, now
        if stood_seconds > self._stuck_seconds:
            LOG.error("the loop stood still for %.0f s and turns again; the stacks are above", stood_seconds)
        newly_ready = ready and not self._ready
        if now < self._tell_at and not newly_ready:
            return
        self._tell_at = now + TELL_EVERY_SECONDS
        self._ready = self._ready or ready
        self._set_alarm()
        self._beat(newly_ready)
        if self._ready:
            tell_systemd(*([READY] if newly_ready else []), WATCHDOG)

    def _set_alarm(self) -> None:
        if self._stacks is not None:
            faulthandler.dump_traceback_later(self._stuck_seconds, file=self._stacks)

    def _beat(self, newly_ready: bool) -> None:
        if self._file is None:
            return
        try:
            if newly_ready:
                self._file.write_text("ready\n", encoding="utf-8")
            os.utime(self._file)
        except OSError as error:
            LOG.warning("no heartbeat in %s: %s", self._file, error)
