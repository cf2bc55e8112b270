"""A small HTTP server beside the loop, on threads of its own: it answers probes and readers, and is in nobody's way.

It never ends the worker and never waits for it. A connection has one request, for which there is a deadline; where too
many hold on, whoever has held on longest makes room for whoever comes; where a route fails that is one answer.
"""

from __future__ import annotations

import io
import logging
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from kuaixun import __version__
from kuaixun.worker.errors import SettingError
from kuaixun.worker.observability.routes import ALWAYS_ANSWERED, PLAIN, Request, Response, Routes
from kuaixun.worker.stop import LOOK_EVERY_SECONDS

LOG = logging.getLogger(__name__)

MOST_CONNECTIONS = 32
MOST_ANSWERED = MOST_CONNECTIONS // 2  # at once by routes that are not always answered: the rest is left to those
REQUEST_SECONDS = 10.0  # for a whole request to come, and again for its answer to be taken
GIVE_WAY_SECONDS = 0.5  # within which a connection that was cut off is gone
CLOSE_SECONDS = 1.0
PAUSE_SECONDS = 0.2  # after a connection that could not be taken, as where no file descriptor is left
BODY_LIMIT_BYTES = 1 << 16
REQUEST_LIMIT_BYTES = 2 * BODY_LIMIT_BYTES  # head and body together: the library alone takes 6.5 MB of headers
_LENGTH = re.compile("[0-9]{1,19}")


class HttpServer:
    """Serves routes for as long as the context lasts. `host` and `port` as in `address.py`; port 0 takes a free one.

    Entering raises SettingError where the address is not to be had.
    """

    def __init__(self, host: str, port: int, routes: Routes) -> None:
        self._host, self._port, self._routes = host, port, routes

    def __enter__(self) -> Self:
        try:
            self._server = _Server(self._host, self._port, self._routes)
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

    def __init__(self, host: str, port: int, routes: Routes) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.routes = routes
        self.room = threading.BoundedSemaphore(MOST_ANSWERED)
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._lock = threading.Lock()
        self._waiting = dict[socket.socket, None]()  # for their peers, the longest first
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
        """In a thread of its own, if one is left or given up."""
        if not self._free.acquire(blocking=False) and not self._made_room():
            LOG.debug("too many connections, %s turned away", client_address)
            self.shutdown_request(request)
            return
        with self._lock:
            self._waiting[request] = None
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

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, which is nobody's to cut off any more: its descriptor may soon be another's."""
        with self._lock:
            self._waiting.pop(request, None)
        super().shutdown_request(request)

    @contextmanager
    def answering(self, connection: socket.socket) -> Iterator[None]:
        """It waits for the worker now, and is not cut off. Raises ConnectionAbortedError where it already was."""
        with self._lock:
            if connection not in self._waiting:
                raise ConnectionAbortedError("cut off to make room")
            del self._waiting[connection]
        try:
            yield
        finally:
            with self._lock:
                self._waiting[connection] = None

    def _made_room(self) -> bool:
        """Take the thread of whoever has waited longest: a probe says all at once, and who holds on has not."""
        with self._lock:
            longest = next(iter(self._waiting), None)
            if longest is not None:
                del self._waiting[longest]
                with suppress(OSError):  # its peer went away
                    longest.shutdown(socket.SHUT_RDWR)
        return self._free.acquire(timeout=GIVE_WAY_SECONDS)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Readers that go away in the midst of an answer are no news."""
        LOG.debug("a connection from %s failed: %s", client_address, sys.exception())


class _Incoming(io.RawIOBase):
    """What a connection says until the deadline, in seconds of the monotonic clock. Then reading raises TimeoutError.

    A limit for each read alone would let a byte now and then hold a thread for ever. Beyond REQUEST_LIMIT_BYTES it
    raises ConnectionAbortedError, for an end there would make a whole request of a part.
    """

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection, self._deadline = connection, deadline
        self._left_bytes = REQUEST_LIMIT_BYTES

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The number of bytes read, 0 at the end."""
        left_seconds = self._deadline - time.monotonic()
        if left_seconds <= 0:
            raise TimeoutError(f"no whole request after {REQUEST_SECONDS:g} s")
        if self._left_bytes <= 0:
            raise ConnectionAbortedError(f"a request of more than {REQUEST_LIMIT_BYTES} bytes")
        self._connection.settimeout(left_seconds)
        count = self._connection.recv_into(memoryview(buffer)[: self._left_bytes])
        self._left_bytes -= count
        return count


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = f"kuaixun/{__version__}"
    sys_version = ""
    disable_nagle_algorithm = True
    error_content_type = PLAIN
    error_message_format = "%(code)d %(message)s\n"

    def setup(self) -> None:
        """With a deadline for the request."""
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_Incoming(self.connection, time.monotonic() + REQUEST_SECONDS))

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
        try:
            path = urlsplit(self.path).path
        except ValueError:
            self._send(_refusal(HTTPStatus.BAD_REQUEST))
            return
        lengths = set(self.headers.get_all("content-length", ["0"]))
        length = lengths.pop()
        if lengths or not _LENGTH.fullmatch(length):
            self._send(_refusal(HTTPStatus.BAD_REQUEST))
            return
        if int(length) > BODY_LIMIT_BYTES or "transfer-encoding" in self.headers:
            self._send(_refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE))
            return
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self._send(_refusal(HTTPStatus.BAD_REQUEST))
            return
        if (method, path) not in self.server.routes:
            known = any(other == path for _, other in self.server.routes)
            self._send(_refusal(HTTPStatus.METHOD_NOT_ALLOWED if known else HTTPStatus.NOT_FOUND))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.server.answering(self.connection):
            response = self._asked(method, Request(path=path, headers=headers, body=body))
        self._send(response)

    def _asked(self, method: str, request: Request) -> Response:
        """The route's answer, or why there is none."""
        is_limited = request.path not in ALWAYS_ANSWERED
        if is_limited and not self.server.room.acquire(blocking=False):
            return _refusal(HTTPStatus.SERVICE_UNAVAILABLE)
        try:
            return self.server.routes[method, request.path](request)
        except Exception:
            LOG.warning("%s %s failed", method, request.path, exc_info=True)
            return _refusal(HTTPStatus.INTERNAL_SERVER_ERROR)
        finally:
            if is_limited:
                self.server.room.release()

    def _send(self, response: Response) -> None:
        self.connection.settimeout(REQUEST_SECONDS)  # for all of it: sendall starts no clock anew
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in response.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.send_header("Connection", "close")  # a reader who comes back holds no thread meanwhile
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)


def _refusal(status: HTTPStatus) -> Response:
    return Response(status=status, body=f"{status.value} {status.phrase}\n".encode())
