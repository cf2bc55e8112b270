"""Figures, health and the server that shows them, put together: what a worker tells, and what is told of it.

/metrics    all figures, for Prometheus
/live       200 while the loop turns, or is not to turn yet; else 503
/ready      200 while it has its share of the partitions and is not leaving; else 503
/startup    200 once everything is checked and the group has given it its share; else 503
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus

from kuaixun.worker.addresses import host_and_port
from kuaixun.worker.labelling import Labels, Outcome
from kuaixun.worker.observability.exposition import exposition
from kuaixun.worker.observability.figures import Figures
from kuaixun.worker.observability.health import Answer, Health
from kuaixun.worker.observability.routes import Request, Response, Route, Routes, json_response
from kuaixun.worker.observability.server import HttpServer
from kuaixun.worker.settings import WorkerSettings
from kuaixun.worker.stop import Stop
from kuaixun.worker.streams import Record
from kuaixun.worker.witness import Handled, Parts


class Observatory:
    """A Witness of one worker, which shows what it sees. `routes` may be added to before they are served."""

    def __init__(self, settings: WorkerSettings, stop: Stop, stuck_seconds: float) -> None:
        self.figures = Figures(settings.confidence_threshold)
        self.health = Health(stuck_seconds, lambda: stop.requested)
        self.routes = dict(_routes(self.figures, self.health))

    def begin(self, parts: Parts) -> None:
        """See Witness."""
        self.figures.begin(parts)

    def take_up(self, model: Labels) -> Labels:
        """See Witness."""
        return self.figures.model.take_up(model)

    def handled(self, batch: Handled) -> None:
        """See Witness."""
        self.figures.handled(batch)

    def confirmed(self, records: Sequence[Record], outcomes: Sequence[Outcome]) -> None:
        """See Witness."""
        self.figures.confirmed(records, outcomes)

    def turned(self, joined: bool) -> None:
        """See Witness."""
        self.health.turned(joined)
        self.figures.turned()


@contextmanager
def watched(settings: WorkerSettings, stop: Stop, stuck_seconds: float) -> Iterator[Observatory | None]:
    """What looks on for as long as the context lasts, as the settings say; None where nothing is asked for.

    Entering raises SettingError.
    """
    if settings.health_address is None:
        yield None
        return
    observatory = Observatory(settings, stop, stuck_seconds)
    with HttpServer(*host_and_port(settings.health_address), observatory.routes):
        yield observatory


def _routes(figures: Figures, health: Health) -> Routes:
    page = exposition(figures, health)

    def metrics(request: Request) -> Response:
        content, content_type = page(request.headers.get("accept", ""))
        return Response(content_type=content_type, body=content)

    return {
        ("GET", "/metrics"): metrics,
        ("GET", "/live"): _probe(health.live),
        ("GET", "/ready"): _probe(health.ready),
        ("GET", "/startup"): _probe(health.started),
    }


def _probe(ask: Callable[[], Answer]) -> Route:
    def answer(_: Request) -> Response:
        found = ask()
        status = HTTPStatus.OK if found.yes else HTTPStatus.SERVICE_UNAVAILABLE
        return json_response({"ok": found.yes, "why": found.why}, status)

    return answer
