"""The way from an outcome to the producer's queue, which may be full, while the clock of a shutdown may be running."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from kuaixun.worker.delivery.flights import Flight
from kuaixun.worker.delivery.promise import CLOSE_SHARE, DRAIN_SHARE, REPORT_SECONDS
from kuaixun.worker.outcomes import Outcome
from kuaixun.worker.records import Record
from kuaixun.worker.routing import Routes
from kuaixun.worker.stop import Stop, budget_error
from kuaixun.worker.streams import QueueFullError, Report, Sink


class Outbox:
    """Queues outcomes. `monotonic` is a clock in seconds."""

    def __init__(self, sink: Sink, routes: Routes, stop: Stop, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._sink, self._routes, self._stop, self._monotonic = sink, routes, stop, monotonic

    def offer(self, record: Record, outcome: Outcome, report: Report) -> None:
        """Queue one outcome. Raises QueueFullError and RefusedError, in which cases `report` is never called."""
        self._sink.send(self._routes.address(record, outcome), report)

    def offer_all(self, flight: Flight) -> None:
        """Queue a batch's outcomes up to the first that is not taken, if any; `offer` says of that one why."""
        first = flight.queued
        self._sink.send_all(self._routes.address_all(flight.records[first:], flight.outcomes[first:]), flight)

    def put(self, record: Record, outcome: Outcome, report: Report, until: float = math.inf) -> None:
        """Queue one outcome; waits where the queue is full. Raises RefusedError and what `wait` raises."""
        message = self._routes.address(record, outcome)
        while True:
            try:
                self._sink.send(message, report)
            except QueueFullError:
                self.wait(until)
            else:
                return

    def wait(self, until: float = math.inf) -> None:
        """Serve reports for a moment. Raises ShutdownBudgetError, or TimeoutError once the clock is at `until`."""
        if not self._stop.seconds_left(DRAIN_SHARE):
            raise budget_error(self._stop)
        if self._monotonic() >= until:
            raise TimeoutError
        self._sink.poll(REPORT_SECONDS)

    def closing_seconds(self) -> float:
        """What closing may take: the rest of the budget, or a share of it where nobody set the clock running."""
        if self._stop.requested:
            return self._stop.seconds_left(CLOSE_SHARE)
        return (1 - DRAIN_SHARE) * self._stop.budget_seconds
