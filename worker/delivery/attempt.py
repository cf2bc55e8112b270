"""What the reports on a transaction's messages amount to: whether it may be committed, and if not, what is at fault.

Between the fifth and the sixth station of the journey, for a worker and for a replay alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kuaixun.worker.delivery.flights import Flight
from kuaixun.worker.errors import DeliveryFailedError
from kuaixun.worker.streams import AbortableError, RefusedAlongError

TOO_LATE = "not all outcomes were confirmed in time"


def raise_lost(flights: Iterable[Flight]) -> None:
    """Raise AbortableError where a message is lost, or the WorkerError that no further attempt mends."""
    for flight in flights:
        if flight.error is not None and not isinstance(flight.error, DeliveryFailedError):
            raise flight.error
        if flight.error is not None:
            raise AbortableError(str(flight.error))


def raise_spoilt(flights: Iterable[Flight]) -> None:
    """The same, and AbortableError where a message is refused."""
    for flight in flights:
        raise_lost([flight])
        for refused in flight.refused.values():
            raise AbortableError(f"an outcome was refused: {refused}")


def doubtful(flight: Flight) -> Iterator[int]:
    """Which outcomes may be at fault, to be sent alone in the next attempt.

    A broker refuses a whole batch of messages for one of them, and the client reports that on each. Only some errors
    name the one; where they do, the others are not at fault.
    """
    for index, refused in flight.refused.items():
        if not isinstance(refused, RefusedAlongError):
            yield index
