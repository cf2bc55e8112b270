"""What a route is: a function from a request to a response, both plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias

import msgspec

PLAIN = "text/plain; charset=utf-8"
JSON = "application/json; charset=utf-8"

ALWAYS_ANSWERED = frozenset({"/startup", "/ready", "/live", "/metrics"})
"""The paths by which others judge the worker, and may end it: readers of the rest leave them threads. To be quick."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody asked. `headers` has lower-case names; a query is left out."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What to say."""

    status: HTTPStatus = HTTPStatus.OK
    content_type: str = PLAIN
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


Route: TypeAlias = Callable[[Request], Response]
"""May block; called in a thread of the request's own. What it raises is an answer 500 and a warning in the log."""

Routes: TypeAlias = Mapping[tuple[str, str], Route]
"""By method and path, as in ("GET", "/live"). GET answers HEAD too."""


def json_response(value: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """A value as JSON."""
    return Response(status=status, content_type=JSON, body=msgspec.json.encode(value) + b"\n")
