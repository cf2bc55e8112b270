"""The page put together: its files, and what it asks for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from http import HTTPStatus
from importlib.resources import files
from pathlib import PurePosixPath

import msgspec

from kuaixun import __version__
from kuaixun.export import NO_LABEL, Classifier, ExportError
from kuaixun.export.bundle.file_names import MODEL_CARD_FILE
from kuaixun.worker.labels import Labels
from kuaixun.worker.observability.figures import Figures
from kuaixun.worker.observability.health import Health
from kuaixun.worker.observability.routes import PLAIN, Request, Response, Route, Routes, json_response
from kuaixun.worker.outcomes import Outcome
from kuaixun.worker.page.history import History, Now, Seconds
from kuaixun.worker.page.hosts import only_by_name
from kuaixun.worker.page.latest import Headline, Latest, ShownDeadLetter
from kuaixun.worker.page.troubles import Trouble, troubles
from kuaixun.worker.records import Record
from kuaixun.worker.settings import WorkerSettings

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".LICENSE": PLAIN,
}
# What comes with a headline is text to the page's script; should that ever fail, the browser runs nothing of it.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (("Content-Security-Policy", POLICY), ("Referrer-Policy", "no-referrer"))


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """Which worker this is; `started_at` in seconds since 1970."""

    version: str
    engine: str
    group: str
    input: str
    output: str
    dead_letters: str
    started_at: float


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """What serves; `metrics` are those of its manifest."""

    id: str
    labels: tuple[str, ...]
    confidence_threshold: float
    metrics: dict[str, float]
    drift: float | None
    refused: int


class Tiles(Now, frozen=True, kw_only=True):
    """The last seconds, how many headlines wait, and all since the start; `lag` is None while no broker answers."""

    lag: int | None
    labelled: int
    abstained: int
    dead: int


class State(msgspec.Struct, frozen=True, kw_only=True):
    """All that the page shows."""

    ready: bool
    why: str
    troubles: list[Trouble]
    worker: Worker
    model: Model
    now: Tiles
    history: History
    headlines: list[Headline]
    dead_letters: list[ShownDeadLetter]
    dead_by_reason: dict[str, int]


class Title(msgspec.Struct, frozen=True):
    """What somebody wants labelled."""

    title: str


class Page:
    """The routes, and a Witness of what `observability` does not keep. `wall` tells seconds since 1970.

    The loop's thread calls `confirmed`, `turned` and `take_up`; a thread of the reader's own calls the routes.
    """

    def __init__(self, settings: WorkerSettings, figures: Figures, health: Health) -> None:
        self._settings, self._figures, self._health = settings, figures, health
        self._latest, self._seconds = Latest(), Seconds(figures)
        self._started_at = time.time()
        self._model: Labels | None = None

    def take_up(self, model: Labels) -> None:
        """A model labels from here on."""
        self._model = model

    def confirmed(self, records: Sequence[Record], outcomes: Sequence[Outcome]) -> None:
        """A batch is confirmed. See Observer."""
        self._latest.confirmed(records, outcomes)

    def turned(self) -> None:
        """The loop has turned."""
        self._seconds.turned()

    def routes(self) -> Routes:
        """What to serve: the files beside index.html, the figures that its script asks for, and a classifier to try."""
        routes: dict[tuple[str, str], Route] = {
            ("GET", "/state.json"): self._state,
            ("GET", "/model-card"): self._model_card,
            ("POST", "/classify"): self._classify,
        }
        for file in (files("kuaixun.worker.page") / "static").iterdir():
            routes["GET", f"/{file.name}"] = _file(file.name, file.read_bytes())
        routes["GET", "/"] = routes["GET", "/index.html"]
        names = {name.strip().lower() for name in self._settings.page_hosts.split(",")} - {""}
        return {asked: only_by_name(route, names) for asked, route in routes.items()}

    def _state(self, _: Request) -> Response:
        model, figures, ready = self._figures.model.now, self._figures, self._health.ready()
        history = self._seconds.columns(model.labels)
        parts, settings = figures.parts, self._settings
        dead = dict(parts.delivery.counts.dead_lettered) if parts is not None else {}  # at once: the loop adds to it
        away_seconds = figures.outage_seconds()
        return json_response(
            State(
                ready=ready.yes,
                why=ready.why,
                troubles=troubles(away_seconds, parts),
                worker=Worker(
                    version=__version__,
                    engine=model.engine,
                    group=settings.group_id,
                    input=settings.input_topic,
                    output=settings.output_topic,
                    dead_letters=settings.dead_letter_topic,
                    started_at=self._started_at,
                ),
                model=Model(
                    id=model.model_id,
                    labels=model.labels,
                    confidence_threshold=settings.confidence_threshold,
                    metrics=self._metrics(),
                    drift=model.mix.drift,
                    refused=parts.reloads.refused if parts is not None else 0,
                ),
                now=Tiles(
                    **msgspec.structs.asdict(self._seconds.now()),
                    lag=None if away_seconds > 0 else figures.lag,
                    labelled=parts.delivery.counts.labelled if parts is not None else 0,
                    abstained=figures.model.abstentions,
                    dead=sum(dead.values()),
                ),
                history=history,
                headlines=self._latest.headlines(),
                dead_letters=self._latest.dead_letters(),
                dead_by_reason={reason.value: count for reason, count in dead.items()},
            )
        )

    def _metrics(self) -> dict[str, float]:
        if not isinstance(self._model, Classifier):
            return {}
        metrics = self._model.bundle.manifest.metrics
        return {f"{role} {name}": value for role, values in metrics.items() for name, value in values.items()}

    def _model_card(self, _: Request) -> Response:
        if not isinstance(self._model, Classifier):
            return Response(status=HTTPStatus.NOT_FOUND, body=b"")
        try:
            return Response(body=self._model.bundle.read_file(MODEL_CARD_FILE))
        except ExportError as error:
            return _refused(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    def _classify(self, request: Request) -> Response:
        # A form of another site can be sent without asking this one, but not with this type.
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return _refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send application/json")
        model = self._model
        if model is None:
            return _refused(HTTPStatus.SERVICE_UNAVAILABLE, "the model is not open yet")
        try:
            title = msgspec.json.decode(request.body, type=Title).title
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _refused(HTTPStatus.BAD_REQUEST, f'send {{"title": "..."}}: {error}')
        found = model.classify([title])
        label_id = int(found.label_ids[0])
        return json_response(
            {
                "label": None if label_id == NO_LABEL else model.labels[label_id],
                "confidence": float(found.confidences[0]),
                "scores": dict(zip(model.labels, found.scores[0].tolist(), strict=True)),
            }
        )


def _file(name: str, content: bytes) -> Route:
    response = Response(content_type=TYPES[PurePosixPath(name).suffix], body=content, headers=HEADERS)
    return lambda _: response


def _refused(status: HTTPStatus, reason: str) -> Response:
    return json_response({"error": reason}, status)
