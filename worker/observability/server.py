"""A small HTTP server beside the loop, on threads of its own: it answers probes and readers, and is in nobody's way.

It never ends the worker and never waits for it. Whoever connects and says nothing is cut off; where too many ask at
once the rest is turned away; where a route fails that is one answer.
"""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from kuaixun import __version__
from kuaixun.worker.errors import SettingError
from kuaixun.worker.observability.routes import PLAIN, Request, Response, Routes

LOG = logging.getLogger(__name__)

MOST_CONNECTIONS = 32
SILENT_SECONDS = 10.0  # a connection on which nothing moves for so long is cut off
CLOSE_SECONDS = 1.0
LOOK_EVERY_SECONDS = 0.1
BODY_LIMIT_BYTES = 1 << 16
PAUSE_SECONDS = 0.2  # after a connection that could not be taken, as where no file descriptor is left


class HttpServer:
    """Serves routes for as long as the context lasts. `host` and `port` as in `address.py`; port 0 takes a free one.

    Entering raises SettingError where the address is not to be had.
    """

    def __init__(self, host: str, port: int, routes: Routes) -> None:
        self._host, self._port, self._routes = host, port, routes
        self._closing = threading.Event()

    def __enter__(self) -> Self:
        try:
            self._server = _Server(self._host, self._port, self._routes, self._closing)
        except OSError as error:
            raise SettingError(
                f"KUAIXUN_HEALTH_ADDRESS: nothing can listen on {self._host} port {self._port} "
                f"({error.strerror or error}). Each worker of a machine needs a port of its own."
            ) from None
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(LOOK_EVERY_SECONDS,), name="http", daemon=True
        )
        self._thread.start()
        LOG.info("answering on %s", self.url, extra={"url": self.url})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(CLOSE_SECONDS)

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        host, port = self._server.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, host: str, port: int, routes: Routes, closing: threading.Event) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.routes, self.closing = routes, closing
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Without the look-up of the machine's name that http.server makes, which may take long."""
        if self.address_family is socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, self.server_address[0] != "::")
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def get_request(self) -> tuple[socket.socket, Any]:
        """The next connection. Where none can be taken it would be asked for again at once, and forever."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(PAUSE_SECONDS)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread of its own, if one is left."""
        if not self._free.acquire(blocking=False):
            LOG.debug("too many connections, %s turned away", client_address)
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread to be had
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """In that thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Readers that go away in the midst of an answer are no news."""
        LOG.debug("a connection from %s failed: %s", client_address, sys.exception())


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = f"kuaixun/{__version__}"
    sys_version = ""
    timeout = SILENT_SECONDS
    disable_nagle_algorithm = True
    error_content_type = PLAIN
    error_message_format = "%(code)d %(message)s\n"

    def do_GET(self) -> None:
        """Answer, with a body."""
        self._answer("GET")

    def do_HEAD(self) -> None:
        """Answer as to GET, without the body."""
        self._answer("GET")

    def do_POST(self) -> None:
        """Answer."""
        self._answer("POST")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Probes come every few seconds."""
        LOG.debug("%s %s", self.address_string(), format % args)

    def _answer(self, method: str) -> None:
        parts = urlsplit(self.path)
        route = self.server.routes.get((method, parts.path))
        length = self.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > BODY_LIMIT_BYTES or "transfer-encoding" in self.headers:
            self.close_connection = True  # what comes next would be its body
            self._send(_refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE))
            return
        body = self.rfile.read(int(length))
        if route is None:
            known = any(path == parts.path for _, path in self.server.routes)
            self._send(_refusal(HTTPStatus.METHOD_NOT_ALLOWED if known else HTTPStatus.NOT_FOUND))
            return
        request = Request(
            path=parts.path,
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
            closing=self.server.closing,
        )
        try:
            response = route(request)
        except Exception:
            LOG.warning("%s %s failed", method, parts.path, exc_info=True)
            response = _refusal(HTTPStatus.INTERNAL_SERVER_ERROR)
        self._send(response)

    def _send(self, response: Response) -> None:
        body = response.body
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in response.headers:
            self.send_header(name, value)
        if isinstance(body, bytes):
            self.send_header("Content-Length", str(len(body)))
        else:
            self.close_connection = True
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        for piece in [body] if isinstance(body, bytes) else _until(self.server.closing, body):
            self.wfile.write(piece)


def _until(closing: threading.Event, pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        if closing.is_set():
            return
        yield piece


def _refusal(status: HTTPStatus) -> Response:
    return Response(status=status, body=f"{status.value} {status.phrase}\n".encode())
