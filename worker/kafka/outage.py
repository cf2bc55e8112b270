"""How long the brokers have been away. Beside the headline's journey."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from kuaixun.worker.errors import WorkerError

LOG = logging.getLogger(__name__)


class Outage:
    """How long something that should answer has not. `monotonic` is a clock in seconds."""

    def __init__(self, limit_seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limit_seconds = limit_seconds
        self._monotonic = monotonic
        self._since: float | None = None
        self._error: WorkerError | None = None

    @property
    def lasting(self) -> bool:
        """Whether it is away now."""
        return self._since is not None

    @property
    def seconds(self) -> float:
        """How long it has been away by now, 0 while it answers. For any thread."""
        since = self._since
        return 0.0 if since is None else self._monotonic() - since

    @property
    def error(self) -> WorkerError | None:
        """The last trouble of an outage that lasts."""
        return self._error

    def trouble(self, error: WorkerError) -> None:
        """It did not answer. The first call starts the clock."""
        if self._since is None:
            LOG.warning("trouble with Kafka, trying on: %s", error)
            self._since = self._monotonic()
        self._error = error

    def over(self) -> None:
        """It answered."""
        if self._since is not None:
            LOG.warning("Kafka answers again after %.1f s", self._monotonic() - self._since)
            self._since = self._error = None

    def forget(self) -> None:
        """Nobody waits for its answer any more."""
        self._since = self._error = None

    def check(self) -> None:
        """Raise the last trouble's error once the outage has lasted longer than the limit."""
        if self._since is None or self._error is None:
            return
        if self._monotonic() - self._since > self._limit_seconds:
            raise type(self._error)(f"Given up after {self._limit_seconds:g} s without Kafka. {self._error}")
