"""Figures, health and the server that shows them, put together: what a worker tells, and what is told of it.

/           the page, of which `kuaixun.worker.page` is made
/metrics    all figures, for Prometheus
/live       200 while the loop turns, or is not to turn yet; else 503
/ready      200 while it has its share of the partitions and is not leaving; else 503
/startup    200 once everything is checked and the group has given it its share; else 503
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from kuaixun.worker.labels import Labels
from kuaixun.worker.observability.exposition import exposition
from kuaixun.worker.observability.figures import Figures
from kuaixun.worker.observability.health import Answer, Health
from kuaixun.worker.observability.routes import Request, Response, Route, json_response
from kuaixun.worker.outcomes import Outcome
from kuaixun.worker.page.page import Page
from kuaixun.worker.records import Record
from kuaixun.worker.settings import WorkerSettings
from kuaixun.worker.stop import Stop
from kuaixun.worker.witness import Handled, Parts

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from kuaixun.worker.observability.traces import Traces

LOG = logging.getLogger(__name__)


class Observatory:
    """A Witness of one worker, which shows what it sees."""

    def __init__(
        self,
        settings: WorkerSettings,
        stop: Stop,
        stuck_seconds: float,
        trace_into: TracerProvider | None = None,
    ) -> None:
        self._failed = False
        self._traces: Traces | None = None
        self.figures = Figures(settings.confidence_threshold)
        self.health = Health(stuck_seconds, lambda: stop.requested)
        self.exposition = exposition(self.figures, self.health)
        self._page = Page(settings, self.figures, self.health)
        self.routes: dict[tuple[str, str], Route] = {
            **self._page.routes(),
            ("GET", "/metrics"): self._metrics,
            ("GET", "/live"): _probe(self.health.live),
            ("GET", "/ready"): _probe(self.health.ready),
            ("GET", "/startup"): _probe(self.health.started),
        }
        if trace_into is not None:
            from kuaixun.worker.observability.traces import Traces

            self._traces = Traces(settings, trace_into, lambda: self.figures.model.now.model_id)

    def reaching(self, outage_seconds: Callable[[], float]) -> None:
        """See Witness."""
        self.figures.outage_seconds = outage_seconds

    def begin(self, parts: Parts) -> None:
        """See Witness."""
        self.figures.begin(parts)

    def take_up(self, model: Labels) -> Labels:
        """See Witness."""
        self._page.take_up(model)
        return self.figures.model.take_up(model, self._unharmed)

    def handled(self, batch: Handled) -> None:
        """See Witness."""
        self._unharmed(lambda: self.figures.handled(batch))
        if self._traces is not None:
            self._unharmed(partial(self._traces.handled, batch))

    def confirmed(self, records: Sequence[Record], outcomes: Sequence[Outcome]) -> None:
        """See Witness."""
        self._unharmed(lambda: self.figures.confirmed(records))
        if self._traces is not None:
            self._unharmed(partial(self._traces.confirmed, records))
        self._unharmed(lambda: self._page.confirmed(records, outcomes))

    def turned(self, joined: bool) -> None:
        """See Witness."""
        self.health.turned(joined)
        self._unharmed(self.figures.turned)
        self._unharmed(self._page.turned)

    def close(self) -> None:
        """Send off what is left of the traces."""
        if self._traces is not None:
            self._unharmed(self._traces.close)

    def _unharmed(self, look: Callable[[], None]) -> None:
        """Look on; where that fails the worker goes on, and the log says so once."""
        try:
            look()
        except Exception:
            if not self._failed:
                LOG.exception("a figure or a span is wrong from here on; the worker goes on. Please report it.")
            self._failed = True

    def _metrics(self, request: Request) -> Response:
        content, content_type = self.exposition(request.headers.get("accept", ""))
        return Response(content_type=content_type, body=content)


def _probe(ask: Callable[[], Answer]) -> Route:
    def answer(_: Request) -> Response:
        found = ask()
        status = HTTPStatus.OK if found.yes else HTTPStatus.SERVICE_UNAVAILABLE
        return json_response({"ok": found.yes, "why": found.why}, status)

    return answer
