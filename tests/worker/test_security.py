"""TLS, SASL and rights on a real Kafka: what is missing ends the worker with its name, and no secret is ever said.

Every worker here could try on for a quarter of an hour: one that did not end by itself would run into the test's limit.
"""

from __future__ import annotations

import base64
import gc
import json
import logging
import shlex
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourceType

from kuaixun.worker import cli, opening, service
from kuaixun.worker.delivery.promise import Counts, Guarantee
from kuaixun.worker.errors import AccessRefusedError
from kuaixun.worker.replay import run as replay
from kuaixun.worker.settings import WorkerSettings
from kuaixun.worker.stop import Stop
from tests.secured_broker import PASSWORD, USER, SecuredBroker
from tests.worker.fake_classifier import FakeClassifier
from tests.worker.test_contract import assert_each_once, many, record
from tests.worker.topics import PATIENCE_SECONDS, Topics

WRONG_PASSWORD = "incorrect-donkey-0815"  # noqa: S105
TOKEN_SECRET = "bearer-of-secrets-1234"  # noqa: S105
PATIENT = ("--connect-seconds", "900", "--outage-seconds", "900", "--consumer", "max.poll.interval.ms=1000000")
Create = Callable[..., Topics]


@pytest.fixture
def secured(secured_broker: SecuredBroker) -> Create:
    """Makes topics behind the listener that asks; nobody has any right to them yet."""

    def create(delivery: Guarantee = Guarantee.AT_LEAST_ONCE) -> Topics:
        return Topics.create(secured_broker.bootstrap, real=True, delivery=delivery)

    return create


def rights(topics: Topics) -> dict[str, tuple[AclOperation, ResourceType, str]]:
    """What a worker needs, by what a test calls it."""
    return {
        "read the input": (AclOperation.READ, ResourceType.TOPIC, topics.input),
        "read as the group": (AclOperation.READ, ResourceType.GROUP, topics.group),
        "write the output": (AclOperation.WRITE, ResourceType.TOPIC, topics.output),
        "write dead letters": (AclOperation.WRITE, ResourceType.TOPIC, topics.dead_letter),
        "transact": (AclOperation.WRITE, ResourceType.TRANSACTIONAL_ID, f"{topics.group}-"),
    }


def grant(broker: SecuredBroker, topics: Topics, *, but: str = "") -> None:
    for name, (operation, kind, resource) in rights(topics).items():
        if name != but:
            broker.allow(operation, kind, resource, prefixed=kind is ResourceType.TRANSACTIONAL_ID)
        elif kind is ResourceType.TOPIC:
            broker.allow(AclOperation.DESCRIBE, kind, resource)


def flags(broker: SecuredBroker, topics: Topics, **properties: str) -> list[str]:
    connecting = {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(broker.ca),
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": USER,
        "sasl.password": PASSWORD,
        **{name.replace("_", "."): value for name, value in properties.items()},
    }
    named = [flag for name, value in connecting.items() for flag in ("--kafka", f"{name}={value}")]
    return [*topics.flags(), "--bootstrap-servers", broker.secured_bootstrap, *named, *PATIENT]


class Opened(FakeClassifier):
    """As if it were of a bundle."""

    bundle, engine = SimpleNamespace(path="none"), SimpleNamespace(name="none")


@pytest.fixture(autouse=True)
def no_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a model costs to open says nothing here."""
    monkeypatch.setattr(opening, "open_settings_classifier", lambda _: Opened())
    monkeypatch.setattr(replay, "open_settings_classifier", lambda _: FakeClassifier())


class Ear:
    """Hears all that is printed and logged, down to the client's own lines."""

    def __init__(self, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
        self._capfd, self._caplog, self._heard = capfd, caplog, list[str]()

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """A command's exit code, standard output, and the last line of standard error."""
        code = cli.main(list(arguments))
        out, err = self._capfd.readouterr()
        self._heard += [out, err]
        return code, out, err.strip().rpartition("\n")[2]

    def everything(self) -> str:
        self._heard += self._capfd.readouterr()
        logged = map(logging.Formatter().format, self._caplog.get_records("call"))
        return "\n".join([*self._heard, *logged])


@pytest.fixture(autouse=True)
def ear(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[Ear]:
    """After each test of this file: no secret was said, and no client is left that asks for tokens.

    It would go on asking while the interpreter goes down after the last test, and crash that.
    """
    caplog.set_level(logging.DEBUG)
    ear = Ear(capfd, caplog)
    yield ear
    everything = ear.everything()
    assert everything.strip()
    for secret in (PASSWORD, WRONG_PASSWORD, TOKEN_SECRET):
        assert secret not in everything
    gc.collect()
    assert "rdk:bg" not in set(native_threads())


def native_threads() -> Iterator[str]:
    """What the threads of this process are called, those of C included; none where the system does not say."""
    for thread in Path("/proc/self/task").glob("*/comm"):
        with suppress(OSError):  # it has ended meanwhile
            yield thread.read_text("ascii").strip()


def token(lives_seconds: float = 600) -> str:
    """A token that says who USER is and is signed by nobody."""
    now = time.time()
    parts = [{"alg": "none"}, {"sub": USER, "iat": int(now), "exp": int(now + lives_seconds), "jti": TOKEN_SECRET}]
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts) + "."


def token_endpoint() -> str:
    """What a token endpoint answers."""
    return json.dumps({"access_token": token(), "expires_in": 600, "token_type": "Bearer"})


def failing_endpoint() -> str:
    raise ConnectionError(f"refused the client secret {TOKEN_SECRET}")


def oauth(source: str) -> tuple[dict[str, str], list[str]]:
    return {"sasl_mechanism": "OAUTHBEARER"}, ["--oauth-token-source", source]


def printing(text: str, exit_code: int = 0) -> str:
    """A command that prints this."""
    return shlex.join([sys.executable, "-c", f"import sys; print({text!r}); sys.exit({exit_code})"])


def sources() -> dict[str, tuple[dict[str, str], list[str]]]:
    return {
        "sha-512": ({}, []),
        "sha-256": ({"sasl_mechanism": "SCRAM-SHA-256"}, []),
        "command": oauth(printing(token())),
        "function": oauth("tests.worker.test_security:token_endpoint"),
    }


def test_check_says_that_all_rights_are_granted(secured: Create, secured_broker: SecuredBroker, ear: Ear) -> None:
    topics = secured(Guarantee.EXACTLY_ONCE)
    grant(secured_broker, topics)
    code, out, err = ear.run("check", *flags(secured_broker, topics))
    assert (code, out.splitlines()[-1:]) == (0, ["ready"]), err
    assert "to read, to write and of the group are granted" in out


@pytest.mark.parametrize("way", sources())
def test_who_has_all_rights_is_served_over_tls(
    secured: Create, secured_broker: SecuredBroker, ear: Ear, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = secured(Guarantee.EXACTLY_ONCE)
    grant(secured_broker, topics)
    properties, more = sources()[way]
    topics.write(many(20))
    stop_after(topics, 20, monkeypatch)
    code, _, err = ear.run("run", *flags(secured_broker, topics, **properties), *more, "--log-level", "debug")
    assert code == 0, err
    assert_each_once(topics.read(topics.output, 20), 20)


ASKED = Counter[int]()  # for a renewal, by a client's own thread


def short_lived() -> str:
    """A token that a client is to renew within seconds, long before brokers refuse it; its first attempt fails."""
    if threading.current_thread() is not threading.main_thread():  # which asks for the first ones
        ASKED[threading.get_ident()] += 1
        if ASKED[threading.get_ident()] == 1:
            return failing_endpoint()
    return json.dumps({"access_token": token(PATIENCE_SECONDS), "expires_in": 4})


def renewed_after_all() -> int:
    """How many clients have asked again after they failed."""
    return sum(times > 1 for times in ASKED.values())


def test_a_token_is_renewed_before_it_expires_and_again_where_that_fails(
    secured: Create, secured_broker: SecuredBroker, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = secured()
    grant(secured_broker, topics)

    def outlive_tokens() -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while renewed_after_all() < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        topics.write(many(20))

    stop_after(topics, 20, monkeypatch, outlive_tokens)
    properties, more = oauth("tests.worker.test_security:short_lived")
    code, _, err = ear.run("run", *flags(secured_broker, topics, **properties), *more)
    assert code == 0, err
    assert renewed_after_all() >= 2, "consumer and producer"
    assert_each_once(topics.read(topics.output, 20), 20)


def stop_after(
    topics: Topics, count: int, monkeypatch: pytest.MonkeyPatch, first: Callable[[], None] = lambda: None
) -> None:
    """Have the next worker told to stop when so many are labelled."""
    run_worker = service.run_worker

    def run(settings: WorkerSettings, stop: Stop, **more: Any) -> Counts:
        def watch() -> None:
            first()
            topics.wait_for(topics.output, count)
            stop.request()

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            return run_worker(settings, stop, **more)
        finally:
            watcher.join()

    monkeypatch.setattr(service, "run_worker", run)


# Properties, more flags, and what is said.
NOT_BELIEVED: dict[str, tuple[dict[str, str], list[str], str]] = {
    "password": ({"sasl_password": WRONG_PASSWORD}, [], "uthentication failed"),
    "user": ({"sasl_username": "nobody"}, [], "uthentication failed"),
    "ca": ({"ssl_ca_location": "other"}, [], "certificate verify failed"),
    "mechanism": ({"sasl_mechanism": "PLAIN"}, [], "mechanism"),
    "exit-3": (*oauth(printing(TOKEN_SECRET, 3)), "KUAIXUN_OAUTH_TOKEN_SOURCE names ended with exit code 3"),
    "silent": (*oauth(printing("")), "gave no token"),
    "missing": (*oauth("no-such-command-here"), "cannot be run"),
    "raises": (*oauth("tests.worker.test_security:failing_endpoint"), "failed with ConnectionError"),
    "rubbish": (*oauth(printing(TOKEN_SECRET)), "uthentication"),
}
# All commands open the clients alike: one way that ends before there is a connection, and one in it, stand for all.
NOT_BELIEVED_BY = [
    *(("check", way) for way in NOT_BELIEVED),
    *((command, way) for command in ("run", "replay") for way in ("password", "raises")),
]


@pytest.mark.parametrize(("command", "way"), NOT_BELIEVED_BY)
def test_who_is_not_believed_hears_so_at_once(
    secured: Create,
    secured_broker: SecuredBroker,
    ear: Ear,
    command: str,
    way: str,
) -> None:
    properties, more, says = NOT_BELIEVED[way]
    topics = secured()
    grant(secured_broker, topics)
    if "ssl_ca_location" in properties:
        properties = {"ssl_ca_location": str(secured_broker.other_ca)}
    code, _, said = ear.run(command, *flags(secured_broker, topics, **properties), *more, "--log-level", "debug")
    assert code == AccessRefusedError.exit_code, said
    assert says in said


RIGHTS = ["read the input", "read as the group", "write the output", "write dead letters"]


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize("lacking", RIGHTS)
def test_a_right_that_is_missing_is_named_before_work_begins(
    secured: Create, secured_broker: SecuredBroker, ear: Ear, lacking: str, command: str
) -> None:
    topics = secured()
    grant(secured_broker, topics, but=lacking)
    code, _, said = ear.run(command, *flags(secured_broker, topics))
    assert code == AccessRefusedError.exit_code, said
    operation, kind, name = rights(topics)[lacking]
    assert f"lacks {operation.name.title()} on {kind.name.lower()} {name} at" in said


@pytest.mark.parametrize("delivery", Guarantee)
@pytest.mark.parametrize("lacking", RIGHTS)
def test_a_right_that_no_broker_told_of_ends_the_worker_when_it_is_refused(
    secured: Create,
    secured_broker: SecuredBroker,
    ear: Ear,
    lacking: str,
    delivery: Guarantee,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "check_rights", lambda *_, **__: False)
    topics = secured(delivery)
    grant(secured_broker, topics, but=lacking)
    topics.write([record(0, b"{"), *many(8)])
    code, _, said = ear.run("run", *flags(secured_broker, topics))
    assert code == AccessRefusedError.exit_code, said
    outcomes = topics.read(topics.output) + topics.read(topics.dead_letter)
    assert sum(topics.committed()) <= len(outcomes)


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_transactional_id_that_may_not_be_used_is_named(
    secured: Create, secured_broker: SecuredBroker, ear: Ear, command: str
) -> None:
    topics = secured(Guarantee.EXACTLY_ONCE)
    grant(secured_broker, topics, but="transact")
    code, _, said = ear.run(command, *flags(secured_broker, topics))
    assert code == AccessRefusedError.exit_code, said
    assert f"transactional id {topics.group}-" in said


def test_a_crash_report_shows_no_secret(
    secured: Create, secured_broker: SecuredBroker, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("a fault of this program")

    topics = secured()
    monkeypatch.setattr(service, "open_station", crash)
    command = printing(TOKEN_SECRET)
    assert (
        ear.run("run", *flags(secured_broker, topics, sasl_mechanism="OAUTHBEARER"), "--oauth-token-source", command)[0]
        == 70
    )
    assert "Traceback" in ear.everything()
