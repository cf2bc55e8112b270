"""A report says what its figures depend on: versions, settings and the broker; secrets stay out of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.benchmarks.brokers import NAMED_BY, broker_environment, kafka_version
from tests.benchmarks.failures import BenchmarkError
from tests.benchmarks.measurements import ROOT
from tests.benchmarks.stream.options import read_options
from tests.benchmarks.stream.report import environment, environment_settings
from tests.kafka_broker import HEAP, JARS


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where no `.env` is."""
    monkeypatch.chdir(tmp_path)


def test_settings_are_told_by_name_and_value_and_secrets_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment_settings() == {"properties": "none"}
    monkeypatch.setenv("KUAIXUN_MAX_BATCH", "512")
    monkeypatch.setenv("KUAIXUN_KAFKA", json.dumps({"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"}))
    monkeypatch.setenv("KUAIXUN_PRODUCER", json.dumps({"linger.ms": 20, "ssl.key.password": "hunter2"}))
    monkeypatch.setenv("KUAIXUN_CONSUMER__SSL_KEY_PASSWORD", "hunter3")
    monkeypatch.setenv("KUAIXUN_OAUTH_TOKEN_SOURCE", "echo hunter4")
    said = environment_settings()
    assert said["KUAIXUN_MAX_BATCH"] == "512"
    assert "producer:linger.ms=20" in said["properties"]
    assert "producer:ssl.key.password=****" in said["properties"]
    assert "KUAIXUN_OAUTH_TOKEN_SOURCE" in said
    assert "hunter" not in json.dumps(environment(1000, None, ["passthrough"]))


def test_settings_that_no_worker_starts_with_are_refused_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KUAIXUN_MAX_BATCH", "none")
    with pytest.raises(BenchmarkError, match="KUAIXUN_MAX_BATCH"):
        environment_settings()


def test_the_yardstick_s_own_settings_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSTHROUGH_PRODUCER", '{"linger.ms": 20}')
    assert environment(1000, None, [])["passthrough's producer"]["linger.ms"] == 20


@pytest.mark.skipif(shutil.which("java") is None, reason="no Java")
def test_the_broker_that_is_started_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAMED_BY, raising=False)
    said = broker_environment()
    assert said["kafka"] == kafka_version()
    assert "version" in said["java"]
    assert "-Xmx" + said["broker's heap"] == HEAP
    monkeypatch.setenv(NAMED_BY, "broker:9092")
    assert NAMED_BY in broker_environment()["kafka"]


def test_the_version_told_is_of_the_jars_that_are_started(kafka_bootstrap: str) -> None:
    assert not JARS.is_dir() or [*JARS.glob(f"*/kafka_*-{kafka_version()}.jar")], kafka_bootstrap


def test_the_short_form_says_how_long_it_takes_as_the_page_does(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_options(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "with --only null native a minute and a half" in told
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    command, _, then = page.partition("--short --only null native'")
    assert command
    assert then.split()[:5] == ["takes", "a", "minute", "and", "a"]
