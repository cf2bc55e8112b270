"""For how long transactions may fail one after another before the worker gives up."""

from __future__ import annotations

from collections.abc import Callable

from kuaixun.worker.errors import DeliveryFailedError


class Patience:
    """Ends `outage_seconds` after the first failure of a row that nothing has broken."""

    def __init__(self, outage_seconds: float, monotonic: Callable[[], float]) -> None:
        self._outage_seconds, self._monotonic = outage_seconds, monotonic
        self._failing_since: float | None = None
        self._failed_at = 0.0

    def renew(self) -> None:
        """A success, or another attempt than those that failed."""
        self._failing_since = None

    def note(self, why: Exception, began_at: float | None) -> None:
        """A failure of a transaction that began then, if there was one. Raises DeliveryFailedError at the end."""
        now = self._monotonic()
        # What failed before so long a silence is another matter: its records are gone, or another member's.
        is_another = (now if began_at is None else began_at) - self._failed_at > self._outage_seconds
        if self._failing_since is None or is_another:
            self._failing_since = now
        self._failed_at = now
        if now - self._failing_since > self._outage_seconds:
            raise DeliveryFailedError(
                f"No transaction could be committed for {self._outage_seconds:g} s. The last one: {why} Nothing "
                "of it is visible or committed. Check the brokers, then restart."
            )

    def seconds_left(self) -> float:
        """All of it while nothing fails; at least 0."""
        now = self._monotonic()
        failing_since = now if self._failing_since is None else self._failing_since
        return max(0.0, failing_since + self._outage_seconds - now)
