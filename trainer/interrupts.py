"""What ends a training early: Ctrl-C, between two steps where what is then saved belongs together, or SIGTERM."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupts_between_steps() -> Iterator[Callable[[], bool]]:
    """Ctrl-C becomes a question to ask between steps; a second one interrupts at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def remember(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


class Termination(KeyboardInterrupt):
    """Ctrl-C that came as SIGTERM or SIGHUP."""


@contextmanager
def terminations_as_interrupts() -> Iterator[None]:
    """SIGTERM and a terminal that closes are a Ctrl-C, once: batch systems, `timeout` and torchrun send several for one
    stop, and the second must not give up what the first lets a training keep. A second Ctrl-C still does.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        if heard:
            return
        heard = True
        listening = signal.getsignal(signal.SIGINT)
        if not callable(listening) or listening is signal.default_int_handler:
            raise Termination
        listening(signal.SIGINT, frame)

    # Whoever had a signal ignored, as nohup does with SIGHUP, wants the command to outlive it.
    signals = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is not signal.SIG_IGN]
    before = {one: signal.signal(one, interrupt) for one in signals}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
