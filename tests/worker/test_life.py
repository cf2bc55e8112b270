"""Signs of life come from the turning loop alone, and a loop that stands still is shown where it stands."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kuaixun.worker import cli
from kuaixun.worker.errors import SettingError
from kuaixun.worker.life import Life
from tests.worker.test_contract import many, process
from tests.worker.test_loop import Clock
from tests.worker.topics import PATIENCE_SECONDS, Topics

NEVER_SECONDS = 3600.0


class Systemd:
    """The socket that systemd listens on."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1))
        self.socket.setblocking(False)

    def heard(self) -> list[list[str]]:
        """What has come since the last call."""
        found = []
        while True:
            try:
                found.append(self.socket.recv(1000).decode().splitlines())
            except BlockingIOError:
                return found


@pytest.fixture(params=["file", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    address = str(tmp_path / "notify") if request.param == "file" else f"@kuaixun-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    listener = Systemd(address)
    with closing(listener.socket):
        yield listener


def test_systemd_hears_ready_once_and_a_ping_for_turns_at_most_once_a_second(systemd: Systemd) -> None:
    clock = Clock(100.0)
    with Life(NEVER_SECONDS, monotonic=clock) as life:
        life.turned(False)
        assert systemd.heard() == []
        life.turned(True)
        assert systemd.heard() == [["READY=1", "WATCHDOG=1"]]
        clock.now += 0.9
        life.turned(True)
        assert systemd.heard() == []
        clock.now += 0.2
        life.turned(True)
        life.turned(True)
        assert systemd.heard() == [["WATCHDOG=1"]]
        clock.now += 50
        assert systemd.heard() == [], "nothing but a turn pings"


def test_a_systemd_that_is_gone_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    with Life(NEVER_SECONDS) as life:
        life.turned(True)
    assert "systemd did not hear READY=1" in caplog.text


def test_the_heartbeat_file_is_young_while_the_loop_turns_and_says_ready_in_time(tmp_path: Path) -> None:
    clock, file = Clock(), tmp_path / "alive"
    file.write_text("ready\n")  # of a worker that was killed

    def is_touched() -> bool:
        os.utime(file, (1, 1))
        clock.now += 2
        life.turned(file.read_text() == "ready\n")
        return file.stat().st_mtime > 1

    with Life(NEVER_SECONDS, file, monotonic=clock) as life:
        life.turned(False)
        assert file.read_text() == ""
        assert is_touched()
        life.turned(True)
        assert file.read_text() == "ready\n"
        assert is_touched()
        os.utime(file, (1, 1))
        clock.now += 100
        assert file.stat().st_mtime == 1, "nothing but a turn touches it"
    assert not file.exists()


def test_a_heartbeat_file_that_cannot_be_written_is_a_wrong_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = tmp_path / "no-folder" / "alive"
    assert cli.main(["run", "--heartbeat-file", str(nowhere)]) == SettingError.exit_code
    assert str(nowhere) in capsys.readouterr().err


def test_a_heartbeat_that_fails_later_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with Life(NEVER_SECONDS, folder / "alive") as life:
        (folder / "alive").unlink()
        folder.rmdir()
        life.turned(True)
    assert "no heartbeat" in caplog.text


def stand_still(until_readable: int) -> int:
    """Wait in C, and keep the interpreter: no other thread runs, and no signal handler."""

    class Poll(ctypes.Structure):
        _fields_ = (("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short))

    asked = Poll(until_readable, select.POLLIN, 0)
    return int(ctypes.PyDLL(None).poll(ctypes.byref(asked), 1, PATIENCE_SECONDS * 1000))


def test_a_loop_that_stands_still_shows_all_stacks_once_and_says_when_it_turns_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", 0) as shown, os.fdopen(writing, "w") as stacks:
        with Life(0.2, stacks=stacks) as life:
            assert stand_still(reading) == 1, "no stacks were shown"
            said = ""
            while "in test_a_loop_that_stands_still" not in said or select.select([reading], [], [], 0.5)[0]:
                said += shown.read(65536).decode()
            # Not where exactly: on a busy machine the alarm may sound a line earlier.
            assert said.count("in test_a_loop_that_stands_still") == said.count("Timeout") == 1
            life.turned(True)
        assert "turns again" in caplog.text
        assert select.select([reading], [], [], 0.5)[0] == [], "the alarm outlived its worker"


def test_turns_put_the_alarm_off(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, alarms = Clock(), list[float]()
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda seconds, **_: alarms.append(clock.now + seconds))
    with Life(60.0, monotonic=clock) as life:
        for clock.now in (10.0, 10.5, 20.0):
            life.turned(False)
    assert alarms == [60.0, 70.0, 80.0]


def test_a_worker_is_ready_once_its_share_is_held_and_beats_from_then_on(
    kafka_topics: Callable[..., Topics], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics, address, file = kafka_topics(), tmp_path / "notify", tmp_path / "alive"
    monkeypatch.setenv("NOTIFY_SOCKET", str(address))
    systemd = Systemd(str(address))
    topics.write(many(500))
    with closing(systemd.socket), process(topics, "--max-batch", "50", "--heartbeat-file", str(file)) as worker:
        assert select.select([systemd.socket], [], [], PATIENCE_SECONDS)[0], "systemd hears nothing"
        assert systemd.heard()[0] == ["READY=1", "WATCHDOG=1"]
        assert file.read_text() == "ready\n"
        worker.terminate()
        _, said = worker.communicate(timeout=PATIENCE_SECONDS)
    assert worker.returncode == 0, said
    assert f"assigned {topics.input}" in said
    assert not file.exists()
