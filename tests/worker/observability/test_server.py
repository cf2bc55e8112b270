"""The server beside the loop answers, refuses and fails without anybody else noticing."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http import HTTPStatus
from urllib.parse import urlsplit

import pytest

from kuaixun.worker.addresses import host_and_port
from kuaixun.worker.errors import SettingError
from kuaixun.worker.observability import server
from kuaixun.worker.observability.observatory import Observatory
from kuaixun.worker.observability.routes import ALWAYS_ANSWERED, Request, Response, Routes, json_response
from kuaixun.worker.observability.server import BODY_LIMIT_BYTES, MOST_ANSWERED, MOST_CONNECTIONS, HttpServer
from kuaixun.worker.settings import read_settings
from kuaixun.worker.stop import Stop
from tests.worker.observability.asked import PATIENCE_SECONDS, ask


def hello(_: Request) -> Response:
    return Response(body=b"hello")


def echo(request: Request) -> Response:
    return json_response({"said": request.body.decode(), "accept": request.headers.get("accept")}, HTTPStatus.CREATED)


def fail(_: Request) -> Response:
    raise RuntimeError("no luck")


ROUTES: Routes = {
    ("GET", "/"): hello,
    ("POST", "/echo"): echo,
    ("GET", "/fail"): fail,
    **{("GET", path): hello for path in ALWAYS_ANSWERED},
}


class Hanging:
    """A route that does not come back until it is told to."""

    def __init__(self) -> None:
        self.entered, self.go_on = threading.Semaphore(0), threading.Event()

    def __call__(self, _: Request) -> Response:
        self.entered.release()
        self.go_on.wait(PATIENCE_SECONDS)
        return Response(body=b"at last")


@pytest.fixture
def url() -> Iterator[str]:
    with HttpServer("127.0.0.1", 0, ROUTES) as running:
        yield running.url


def connected(url: str) -> socket.socket:
    where = urlsplit(url)
    assert where.hostname is not None
    return socket.create_connection((where.hostname, where.port or 0), timeout=PATIENCE_SECONDS)


def asking(url: str, path: str) -> socket.socket:
    reader = connected(url)
    reader.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return reader


def all_of(reader: socket.socket) -> bytes:
    """What comes until the server closes."""
    return b"".join(iter(lambda: reader.recv(1000), b""))


def test_a_route_is_answered_whatever_its_query_and_with_its_body(url: str) -> None:
    assert ask(f"{url}/?name=%E5%BF%AB&name=%E8%AE%AF").body == "hello"
    answer = ask(f"{url}/echo", method="POST", body="新闻".encode(), accept="a/b")
    assert (answer.status, answer.body) == (201, '{"said":"新闻","accept":"a/b"}\n')
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["server"].startswith("kuaixun/")
    assert "python" not in answer.headers["server"].lower()


def test_head_has_the_headers_alone(url: str) -> None:
    with connected(url) as reader:
        reader.sendall(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        said = all_of(reader)
    assert b"Content-Length: 5\r\n" in said
    assert said.endswith(b"\r\n\r\n")


def test_what_is_not_there_and_what_is_not_meant_so_is_refused(url: str) -> None:
    assert ask(f"{url}/nothing").status == 404
    assert ask(f"{url}/echo").status == 405
    assert ask(f"{url}/", method="DELETE").status == 501
    assert ask(f"{url}/../../etc/passwd").status == 404
    assert ask(f"{url}/echo", method="POST", body=b"x" * (BODY_LIMIT_BYTES + 1)).status == 413


def test_a_route_that_fails_is_one_answer_and_a_line_in_the_log(url: str, caplog: pytest.LogCaptureFixture) -> None:
    answer = ask(f"{url}/fail")
    assert (answer.status, answer.body) == (500, "500 Internal Server Error\n")
    assert "no luck" in caplog.text
    assert ask(f"{url}/").status == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET http://[::1/live HTTP/1.1", 400),
        ("GET / HTTP/1.1\r\nContent-Length: " + "9" * 5000, 400),
        ("GET / HTTP/1.1\r\nContent-Length: -1", 400),
        ("GET / HTTP/1.1\r\nContent-Length:", 400),
        ("POST /echo HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2", 400),
        ("POST /echo HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2", 201),
        ("POST /echo HTTP/1.1\r\nContent-Length: 9999999999", 413),
        ("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked", 413),
    ],
    ids=range(8),
)
def test_a_request_that_cannot_be_read_is_told_so(url: str, head: str, status: int) -> None:
    with connected(url) as reader:
        reader.sendall(f"{head}\r\n\r\n".encode() + (b"ab" if status == 201 else b""))
        assert all_of(reader).startswith(f"HTTP/1.1 {status} ".encode())


def test_a_part_of_a_request_is_not_taken_for_the_whole(url: str) -> None:
    with connected(url) as reader:
        reader.sendall(b"POST /echo HTTP/1.1\r\nContent-Length: 10\r\n\r\nab")
        reader.shutdown(socket.SHUT_WR)
        assert all_of(reader).startswith(b"HTTP/1.1 400 ")


def test_a_request_of_too_many_bytes_is_read_no_further(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with connected(url) as reader, suppress(ConnectionError):
        reader.sendall(
            b"GET / HTTP/1.1\r\n" + b"".join(b"x-%d: %s\r\n" % (n, b"a" * 60_000) for n in range(50)) + b"\r\n"
        )
        assert all_of(reader) == b""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while "a request of more than" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "a request of more than" in caplog.text


def test_a_connection_ends_with_its_answer(url: str) -> None:
    with asking(url, "/") as reader:
        said = all_of(reader)
    assert b"\r\nConnection: close\r\n" in said
    assert said.endswith(b"\r\n\r\nhello")


def test_who_says_nothing_is_cut_off_and_nobody_waits_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.5)
    with (
        HttpServer("127.0.0.1", 0, ROUTES) as running,
        connected(running.url) as silent,
        connected(running.url) as half,
    ):
        half.sendall(b"POST /echo HTTP/1.1\r\nContent-Length: 10\r\n\r\nab")
        assert silent.recv(10) == b""
        assert half.recv(10) == b""


def test_who_says_a_byte_now_and_then_is_cut_off_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.5)
    with HttpServer("127.0.0.1", 0, ROUTES) as running, connected(running.url) as dribbling:
        gone = threading.Event()

        def dribble() -> None:
            with suppress(OSError):
                while not gone.wait(0.05):
                    dribbling.sendall(b"x")

        dribbler = threading.Thread(target=dribble)
        dribbler.start()
        try:
            with suppress(ConnectionResetError):
                assert dribbling.recv(10) == b""
        finally:
            gone.set()
            dribbler.join()


@pytest.mark.parametrize("path", sorted(ALWAYS_ANSWERED))
def test_what_judges_the_worker_is_answered_however_many_readers_hold_on(
    url: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "GIVE_WAY_SECONDS", PATIENCE_SECONDS)
    with ExitStack() as holding_on:
        for _ in range(2 * MOST_CONNECTIONS):
            reader = holding_on.enter_context(connected(url))
            reader.sendall(b"GET / HTTP/1.1\r\nHost: ")
        assert ask(f"{url}{path}").status == 200


def test_what_is_always_answered_is_what_a_worker_shows() -> None:
    shown = Observatory(read_settings({}), Stop(1.0), 60.0).routes
    assert {("GET", path) for path in ALWAYS_ANSWERED} <= shown.keys()


def test_what_judges_the_worker_is_answered_however_many_other_answers_take_their_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "GIVE_WAY_SECONDS", PATIENCE_SECONDS)
    hanging = Hanging()
    with HttpServer("127.0.0.1", 0, {**ROUTES, ("GET", "/hang"): hanging}) as running, ExitStack() as closing:
        closing.callback(hanging.go_on.set)
        readers = [closing.enter_context(asking(running.url, "/hang")) for _ in range(MOST_ANSWERED)]
        for _ in readers:
            assert hanging.entered.acquire(timeout=PATIENCE_SECONDS)
        for _ in range(MOST_CONNECTIONS):
            assert ask(f"{running.url}/hang").status == 503
        assert {ask(f"{running.url}{path}").status for path in ALWAYS_ANSWERED} == {200}
        for _ in range(MOST_CONNECTIONS):
            closing.enter_context(connected(running.url))
        assert {ask(f"{running.url}{path}").status for path in ALWAYS_ANSWERED} == {200}
        hanging.go_on.set()
        assert all(all_of(reader).endswith(b"at last") for reader in readers), "who waits for the worker is kept"
        assert ask(f"{running.url}/hang").status == 200


def test_where_every_thread_answers_the_rest_is_turned_away_and_room_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 2)
    monkeypatch.setattr(server, "GIVE_WAY_SECONDS", 0.01)
    hanging = Hanging()
    with HttpServer("127.0.0.1", 0, {("GET", "/live"): hanging}) as running, ExitStack() as closing:
        closing.callback(hanging.go_on.set)
        readers = [closing.enter_context(asking(running.url, "/live")) for _ in range(2)]
        for _ in readers:
            assert hanging.entered.acquire(timeout=PATIENCE_SECONDS)
        with connected(running.url) as third:
            assert third.recv(10) == b""
        hanging.go_on.set()
        assert all(all_of(reader).endswith(b"at last") for reader in readers)
        monkeypatch.setattr(server, "GIVE_WAY_SECONDS", PATIENCE_SECONDS)
        assert ask(f"{running.url}/live").status == 200


def test_nonsense_ends_its_own_connection_alone(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for nonsense in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"GET http://[ HTTP/1.1\r\n\r\n", b"\r\n" * 9):
        with connected(url) as reader:
            reader.sendall(nonsense + b"\r\n")
            reader.shutdown(socket.SHUT_WR)
            all_of(reader)
    assert ask(f"{url}/").status == 200


def test_a_port_that_is_taken_is_a_wrong_setting(url: str) -> None:
    port = urlsplit(url).port or 0
    with pytest.raises(SettingError, match=f"port {port} .*port of its own"), HttpServer("127.0.0.1", port, ROUTES):
        pass


@pytest.mark.parametrize(
    ("written", "meant"),
    [("9464", ("127.0.0.1", 9464)), ("localhost:1", ("localhost", 1)), ("[::1]:80", ("::1", 80))],
)
def test_an_address_without_a_host_is_this_machine_alone(written: str, meant: tuple[str, int]) -> None:
    assert host_and_port(written) == meant


@pytest.mark.parametrize("written", ["", "host", "host:", ":80", "70000", "::1:80", "http://x:80", "1:2:3", "८०"])
def test_what_is_no_address_to_listen_on_is_refused(written: str) -> None:
    with pytest.raises(SettingError, match="KUAIXUN_HEALTH_ADDRESS"):
        host_and_port(written)
