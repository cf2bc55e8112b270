"""How the worker leaves: each kind of trouble has its exit code and its paragraph; a stop has a budget."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import IO, Any, NoReturn

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kuaixun.export.bundle.reader import default_bundle_path
from kuaixun.worker import cli, errors
from kuaixun.worker.delivery.promise import Counts
from kuaixun.worker.errors import (
    BrokerUnreachableError,
    BundleFormatError,
    BundleRefusedError,
    EngineUnavailableError,
    SettingError,
    ShutdownBudgetError,
    WorkerError,
)
from kuaixun.worker.kafka import rights
from kuaixun.worker.service import run_worker
from kuaixun.worker.settings import read_settings
from kuaixun.worker.stop import EarlyStop, Stop, StoppedEarlyError, hard_stop, stop_on_signals
from tests.worker.fake_classifier import FakeClassifier
from tests.worker.running import RunningWorker

NOWHERE = ["--bootstrap-servers", "127.0.0.1:1", "--connect-seconds", "0.5"]


def paragraph(capsys: pytest.CaptureFixture[str]) -> str:
    said = capsys.readouterr().err.strip()
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("kuaixun-worker: ")
    return said.splitlines()[-1]


def test_every_error_has_a_code_of_its_own_and_is_in_the_list() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, WorkerError)]
    assert len({kind.exit_code for kind in kinds}) == len(kinds)
    listed = (errors.__doc__ or "").splitlines()
    for kind in kinds:
        assert any(kind.__name__ in line and f" {kind.exit_code} " in line for line in listed), kind


@pytest.mark.parametrize("command", ["check", "run"])
def test_no_broker_is_told_from_other_troubles(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([command, *NOWHERE]) == BrokerUnreachableError.exit_code
    said = paragraph(capsys)
    assert "Connection refused" in said
    assert "127.0.0.1:1" in said


def test_told_to_leave_while_no_broker_answers_it_leaves_without_a_fault() -> None:
    settings = read_settings({"bootstrap_servers": "127.0.0.1:1", "connect_seconds": 0.5})
    stop = Stop(settings.shutdown_budget_seconds)
    with pytest.raises(BrokerUnreachableError):
        run_worker(settings, stop, classifier=FakeClassifier())
    stop.request()
    assert run_worker(settings, stop, classifier=FakeClassifier()) == Counts()


def test_told_to_leave_while_it_waits_for_a_first_answer_it_waits_no_longer() -> None:
    worker = RunningWorker(read_settings({"bootstrap_servers": "127.0.0.1:1", "connect_seconds": 1000}))
    worker.stop.request()
    worker.wait()
    assert worker.error is None


def test_told_to_leave_while_it_waits_for_word_of_its_rights_it_waits_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop, described = Stop(5.0), list[str]()

    class SilentAdmin:
        """Never says anything."""

        def __init__(self, *_: object, **__: object) -> None:
            pass

        def describe_consumer_groups(self, groups: list[str], **_: object) -> dict[str, Future[Any]]:
            described.extend(groups)
            stop.request()
            return {group: Future() for group in groups}

    monkeypatch.setattr(rights, "AdminClient", SilentAdmin)
    settings = read_settings({"connect_seconds": 1000})
    with pytest.raises(StoppedEarlyError):
        rights.check_rights(settings, reads=["raw"], writes=["labelled"], look=EarlyStop(stop))
    assert described == [settings.group_id]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copytree(default_bundle_path(), tmp_path / "bundle"))


@pytest.mark.parametrize("name", sorted(path.name for path in default_bundle_path().iterdir()))
def test_one_byte_flipped_in_any_file_of_the_bundle_is_refused(
    bundle: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    assert cli.main(["check", *NOWHERE, "--bundle", str(bundle)]) == BundleRefusedError.exit_code
    assert name in paragraph(capsys)


def test_a_bundle_of_another_format_is_told_from_a_broken_one(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = msgspec.json.decode((bundle / "manifest.json").read_bytes())
    (bundle / "manifest.json").write_bytes(msgspec.json.encode({**manifest, "format_version": 99}))
    assert cli.main(["check", *NOWHERE, "--bundle", str(bundle)]) == BundleFormatError.exit_code
    assert "99" in paragraph(capsys)


def test_ctrl_c_while_starting_is_quiet(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_parser", interrupted)
    assert cli.main(["check"]) == 130
    assert capfd.readouterr() == ("", "")


def test_what_takes_long_to_import_is_imported_where_ctrl_c_is_caught() -> None:
    program = "import sys, kuaixun.worker.cli; print({'confluent_kafka', 'numpy', 'pydantic'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "set()"


def check(output: IO[bytes], **environment: str) -> tuple[int, str]:
    """`check` with a reader that is gone or a disk that is full: its exit code and standard error."""
    command = [sys.executable, "-m", "kuaixun.worker.cli", "check", *NOWHERE]
    done = subprocess.run(
        command, stdout=output, stderr=subprocess.PIPE, env={**os.environ, **environment}, text=True, check=False
    )
    return done.returncode, done.stderr


def test_a_reader_that_went_away_is_no_fault() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as output:
        assert check(output) == (0, "")


def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("wb") as output:
        assert check(output) == (2, "kuaixun-worker: No space left on device\n")


LEFT_BEHIND = """
import atexit, time
from confluent_kafka import Producer
from kuaixun.worker import cli
atexit.register(print, "the interpreter went down", flush=True)
asking = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "OAUTHBEARER", "bootstrap.servers": "127.0.0.1:1"}
def command(_arguments):
    global client
    client = Producer({**asking, "oauth_cb": lambda _: ("token", time.time() + 0.1)})
    print("done")
    return 9
cli._command = command
cli.leave()
"""


def test_a_client_that_is_left_asking_for_tokens_costs_the_process_neither_its_words_nor_its_exit_code() -> None:
    ended = subprocess.run([sys.executable, "-c", LEFT_BEHIND], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (9, "done\n"), ended.stderr


def test_an_engine_that_is_none_has_its_own_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", *NOWHERE, "--engine", "steam"]) == EngineUnavailableError.exit_code
    assert "steam" in paragraph(capsys)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_only_sets_the_flag(number: signal.Signals) -> None:
    stop = Stop(5.0)
    before = signal.getsignal(number)
    with stop_on_signals(stop):
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        assert stop.requested
    assert signal.getsignal(number) is before


def test_a_signal_is_heard_while_a_call_into_c_does_not_come_back() -> None:
    stop, heard = Stop(5.0), threading.Event()
    libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)  # as zeros a mutex is open
    libc.pthread_mutex_lock(mutex)

    def signal_and_look() -> None:
        time.sleep(0.5)  # the main thread is in C by then
        os.kill(os.getpid(), signal.SIGTERM)
        deadline = time.monotonic() + 30
        while not stop.requested and time.monotonic() < deadline:
            time.sleep(0.01)
        if stop.requested:
            heard.set()
        libc.pthread_mutex_unlock(mutex)

    other = threading.Thread(target=signal_and_look)
    with stop_on_signals(stop):
        other.start()
        libc.pthread_mutex_lock(mutex)  # until the other thread has looked; no signal interrupts it
        other.join()
    assert heard.is_set()


def test_a_process_that_hangs_past_its_budget_is_ended(capsys: pytest.CaptureFixture[str]) -> None:
    stop, codes, left = Stop(0.0), list[int](), threading.Event()

    def leave(code: int) -> None:
        codes.append(code)
        left.set()

    with hard_stop(stop, leave):
        stop.request()
        assert left.wait(30)
    assert codes == [ShutdownBudgetError.exit_code]
    assert "KUAIXUN_SHUTDOWN_BUDGET_SECONDS" in capsys.readouterr().err


def test_a_process_that_leaves_in_time_is_not_ended() -> None:
    stop, codes = Stop(3600.0), list[int]()
    with hard_stop(stop, codes.append):
        stop.request()
    assert codes == []


def test_with_a_public_key_the_worker_refuses_an_unsigned_bundle_and_what_is_no_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "public.pem").write_bytes(key)
    assert cli.main(["check", *NOWHERE, "--bundle-public-key", str(tmp_path / "public.pem")]) == 3
    assert "is not signed" in paragraph(capsys)
    assert cli.main(["check", *NOWHERE, "--bundle-public-key", str(tmp_path / "no.pem")]) == SettingError.exit_code
    assert "KUAIXUN_BUNDLE_PUBLIC_KEY" in paragraph(capsys)
