"""What a route is: a function from a request to a response, both plain values."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias

import msgspec

PLAIN = "text/plain; charset=utf-8"
JSON = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody asked. `closing` is set when the server closes, for whoever answers without end.

    `headers` has lower-case names, `query` the last value of each name.
    """

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    closing: threading.Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What to say. A body that is an iterator is sent piece by piece as it comes, until its end or the reader's."""

    status: HTTPStatus = HTTPStatus.OK
    content_type: str = PLAIN
    body: bytes | Iterator[bytes]
    headers: tuple[tuple[str, str], ...] = ()


Route: TypeAlias = Callable[[Request], Response]
"""May block; called in a thread of the request's own. What it raises is an answer 500 and a warning in the log."""

Routes: TypeAlias = Mapping[tuple[str, str], Route]
"""By method and path, as in ("GET", "/live"). GET answers HEAD too."""


def json_response(value: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """A value as JSON."""
    return Response(status=status, content_type=JSON, body=msgspec.json.encode(value) + b"\n")
