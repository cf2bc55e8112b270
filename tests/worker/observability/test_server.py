"""The server beside the loop answers, refuses and fails without anybody else noticing."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import urlsplit

import pytest

from kuaixun.worker.addresses import host_and_port
from kuaixun.worker.errors import SettingError
from kuaixun.worker.observability import server
from kuaixun.worker.observability.routes import Request, Response, Routes, json_response
from kuaixun.worker.observability.server import BODY_LIMIT_BYTES, HttpServer
from tests.worker.observability.asked import PATIENCE_SECONDS, ask


def hello(request: Request) -> Response:
    return Response(body=f"hello {request.query.get('name', '')}".encode())


def echo(request: Request) -> Response:
    return json_response({"said": request.body.decode(), "accept": request.headers.get("accept")}, HTTPStatus.CREATED)


def fail(_: Request) -> Response:
    raise RuntimeError("no luck")


def stream(request: Request) -> Response:
    def pieces() -> Iterator[bytes]:
        while True:
            yield b"data: x\n\n"
            request.closing.wait(0.01)

    return Response(content_type="text/event-stream", body=pieces())


ROUTES: Routes = {("GET", "/"): hello, ("POST", "/echo"): echo, ("GET", "/fail"): fail, ("GET", "/stream"): stream}


@pytest.fixture
def url() -> Iterator[str]:
    with HttpServer("127.0.0.1", 0, ROUTES) as running:
        yield running.url


def connected(url: str) -> socket.socket:
    where = urlsplit(url)
    assert where.hostname is not None
    return socket.create_connection((where.hostname, where.port or 0), timeout=PATIENCE_SECONDS)


def test_a_route_is_answered_with_its_query_and_its_body(url: str) -> None:
    assert ask(f"{url}/?name=%E5%BF%AB&name=%E8%AE%AF").body == "hello 讯"
    answer = ask(f"{url}/echo", method="POST", body="新闻".encode(), accept="a/b")
    assert (answer.status, answer.body) == (201, '{"said":"新闻","accept":"a/b"}\n')
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["server"].startswith("kuaixun/")
    assert "python" not in answer.headers["server"].lower()


def test_head_has_the_headers_alone(url: str) -> None:
    with connected(url) as reader:
        reader.sendall(b"HEAD /?name=x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        said = b"".join(iter(lambda: reader.recv(1000), b""))
    assert b"Content-Length: 7\r\n" in said
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


def test_a_stream_goes_on_until_the_server_closes() -> None:
    with HttpServer("127.0.0.1", 0, ROUTES) as running, connected(running.url) as reader:
        reader.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        said = b""
        while said.count(b"data: x") < 3:
            said += reader.recv(1000)
        assert b"Content-Length" not in said
        closing = threading.Thread(target=running.__exit__, args=(None, None, None))
        closing.start()
        while reader.recv(1000):
            pass
        closing.join(PATIENCE_SECONDS)
        assert not closing.is_alive()


def test_who_says_nothing_is_cut_off_and_nobody_waits_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert server._Handler.timeout
    monkeypatch.setattr(server._Handler, "timeout", 0.1)
    with (
        HttpServer("127.0.0.1", 0, ROUTES) as running,
        connected(running.url) as silent,
        connected(running.url) as half,
    ):
        half.sendall(b"POST /echo HTTP/1.1\r\nContent-Length: 10\r\n\r\nab")
        assert ask(f"{running.url}/").status == 200
        assert silent.recv(10) == b""
        assert half.recv(10) == b""


def test_beyond_the_most_connections_the_rest_is_turned_away_and_room_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 2)
    with HttpServer("127.0.0.1", 0, ROUTES) as running:
        with connected(running.url) as one, connected(running.url) as two:
            for reader in (one, two):
                reader.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert reader.recv(10)
            with connected(running.url) as three:
                assert three.recv(10) == b""
        while True:  # until the server has seen that they went
            with connected(running.url) as four, four.makefile("rwb") as said:
                try:
                    said.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    said.flush()
                    if said.readline().startswith(b"HTTP/1.1 200"):
                        break
                except OSError:
                    continue


def test_nonsense_ends_its_own_connection_alone(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for nonsense in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"GET http://[ HTTP/1.1\r\n\r\n", b"\r\n" * 9):
        with connected(url) as reader:
            reader.sendall(nonsense + b"\r\n")
            reader.shutdown(socket.SHUT_WR)
            while reader.recv(1000):
                pass
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
