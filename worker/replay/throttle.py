"""How fast a replay may go, so that it does not crowd out what readers of the output came for."""

from __future__ import annotations

import time
from collections.abc import Callable

from kuaixun.worker.stop import Stop

LOOK_EVERY_SECONDS = 0.1


class Throttle:
    """Letters a second on average; None is no limit. `monotonic` is a clock in seconds, `sleep` passes them."""

    def __init__(
        self,
        letters_per_second: float | None,
        stop: Stop,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate, self._stop, self._monotonic, self._sleep = letters_per_second, stop, monotonic, sleep
        self._next_at = monotonic()

    def at_once(self, limit: int) -> int:
        """How many letters may go together: no more than a second's."""
        return limit if self._rate is None else max(1, min(limit, int(self._rate)))

    def wait(self, letters: int) -> None:
        """Wait until so many may go, or until told to stop."""
        if self._rate is None:
            return
        while not self._stop.requested and (left_seconds := self._next_at - self._monotonic()) > 0:
            self._sleep(min(LOOK_EVERY_SECONDS, left_seconds))
        self._next_at = max(self._next_at, self._monotonic()) + letters / self._rate
