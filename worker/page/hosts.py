"""By which names the page may be opened, so that no other site can read it through a reader's browser.

A site may let its own name point at this machine once its script runs in somebody's browser (DNS rebinding), and that
script then reads what it likes. It cannot change the name that the browser asks for.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from http import HTTPStatus

from kuaixun.worker.observability.routes import PLAIN, Request, Response, Route


def only_by_name(route: Route, names: Collection[str]) -> Route:
    """The route for whoever asks by an address, by localhost, or by one of the names."""

    def answer(request: Request) -> Response:
        host = request.headers.get("host")
        if host is None or is_own(host, names):
            return route(request)
        refusal = "This page is not served by that name; KUAIXUN_PAGE_HOSTS may allow it.\n"
        return Response(status=HTTPStatus.MISDIRECTED_REQUEST, content_type=PLAIN, body=refusal.encode())

    return answer


def is_own(host: str, names: Collection[str]) -> bool:
    """Whether a Host header names this machine: nobody else can have an address, or localhost.

    >>> [is_own(host, ()) for host in ("127.0.0.1:9464", "[::1]", "localhost:9464", "news.example.org")]
    [True, True, True, False]
    >>> is_own("News.example.org.:443", {"news.example.org"})
    True
    """
    name = host.strip().lower()
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0].rstrip(".")
    if name == "localhost" or name.endswith(".localhost") or name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
