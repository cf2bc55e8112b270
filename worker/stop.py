"""How the worker is told to leave, and how long it may take: a flag, a budget, and a backstop.

Signal handlers only set the flag. One that raised would lose the batch that the client has just handed over, while the
position had already moved past it. A thread of its own sets it too, for a handler waits until a call into C comes back.
"""

from __future__ import annotations

import faulthandler
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from kuaixun.worker.errors import ShutdownBudgetError
from kuaixun.worker.observability.log_lines import last_words

LOOK_EVERY_SECONDS = 0.1
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Whether and since when the worker should leave. `monotonic` is a clock in seconds."""

    def __init__(self, budget_seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.budget_seconds = budget_seconds
        self.requested_at: float | None = None
        self.signals = 0  # how many asked, of those that are listened to
        self._monotonic = monotonic

    @property
    def requested(self) -> bool:
        """Whether to leave once the batch in hand is done."""
        return self.requested_at is not None

    def request(self) -> None:
        """Ask to leave; the first call counts. Takes no lock, so it is safe in a signal handler."""
        if self.requested_at is None:
            self.requested_at = self._monotonic()

    def seconds_left(self, share: float = 1.0) -> float:
        """What is left of this share of the budget, at least 0; without end while nobody asked to leave."""
        if self.requested_at is None:
            return math.inf
        return max(0.0, self.requested_at + share * self.budget_seconds - self._monotonic())


class StoppedEarlyError(Exception):
    """Told to leave while starting: there is nothing to finish, to commit or to leave."""


class EarlyStop:
    """For calls between the waits of a start, until it is `over`."""

    def __init__(self, stop: Stop) -> None:
        self.over = False
        self._stop = stop

    def __call__(self) -> None:
        """Raise StoppedEarlyError where somebody has asked to leave."""
        if self._stop.requested and not self.over:
            raise StoppedEarlyError


@contextmanager
def stop_on_signals(stop: Stop) -> Iterator[None]:
    """SIGTERM and SIGINT set the flag for as long as the context lasts. For the main thread only."""

    def handle(_signal: int, _frame: FrameType | None) -> None:
        stop.request()

    def listen() -> None:
        while number := heard.recv(1):
            if number[0] in STOP_SIGNALS:
                stop.request()
                stop.signals += 1

    heard, tell = socket.socketpair()
    tell.setblocking(False)
    listener = threading.Thread(target=listen, name="signals", daemon=True)
    listener.start()
    # The interpreter writes the number of each signal there at once, whatever the main thread is at.
    told_before = signal.set_wakeup_fd(tell.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, handle) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(told_before)
        tell.close()
        listener.join()
        heard.close()


@contextmanager
def hard_stop(stop: Stop, leave: Callable[[int], None] = os._exit) -> Iterator[None]:
    """End the process when the budget is spent, wherever it hangs.

    The loop keeps to its budget by itself and commits what is confirmed; this is for calls into C that do not come
    back, such as leaving a group whose coordinator is away. What such a call keeps from being committed is labelled
    again by whoever takes over.
    """
    done = threading.Event()

    def watch() -> None:
        while not done.wait(LOOK_EVERY_SECONDS):
            if stop.seconds_left() == 0.0:
                last_words("kuaixun-worker", str(budget_error(stop)), ShutdownBudgetError.exit_code)
                if sys.__stderr__ is not None:
                    faulthandler.dump_traceback(sys.__stderr__)  # where it hangs, for whoever is to mend that
                leave(ShutdownBudgetError.exit_code)
                return

    watcher = threading.Thread(target=watch, name="shutdown-budget", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def budget_error(stop: Stop) -> ShutdownBudgetError:
    """The error for a shutdown that takes too long."""
    return ShutdownBudgetError(f"Leaving took longer than {stop.budget_seconds:g} s. {_WHAT_THEN}")


def unfinished_error() -> ShutdownBudgetError:
    """The error for a worker that is done, and could not make sure of its last commit, or leave the group."""
    return ShutdownBudgetError(
        f"The last offsets were not confirmed as committed, or the group could not be left in time. {_WHAT_THEN}"
    )


_WHAT_THEN = (
    "What the broker had confirmed is committed as far as it could be; the rest will be labelled again by whoever "
    "takes over. See whether the broker is slow or away, or raise KUAIXUN_SHUTDOWN_BUDGET_SECONDS."
)
