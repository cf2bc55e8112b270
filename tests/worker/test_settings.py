"""Settings: where they come from, what is refused, and that no secret is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from kuaixun.worker import cli
from kuaixun.worker.errors import SettingError
from kuaixun.worker.properties import OWNED, hide_secrets
from kuaixun.worker.settings import WorkerSettings, read_settings

HUSH = "hunter2"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_flags_win_over_the_environment_and_that_over_the_file(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_folder / ".env").write_text("KUAIXUN_MAX_BATCH=1\nKUAIXUN_TOP_SCORES=1\nKUAIXUN_GROUP_ID=file\n", "utf-8")
    monkeypatch.setenv("KUAIXUN_MAX_BATCH", "2")
    monkeypatch.setenv("KUAIXUN_TOP_SCORES", "2")
    settings = read_settings({"max_batch": "3"})
    assert (settings.max_batch, settings.top_scores, settings.group_id) == (3, 2, "file")


def test_properties_come_together_from_json_names_and_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUAIXUN_KAFKA", '{"linger.ms": 5, "enable.ssl.certificate.verification": false, "a.b": "json"}')
    monkeypatch.setenv("KUAIXUN_KAFKA__SECURITY_PROTOCOL", "SSL")
    monkeypatch.setenv("KUAIXUN_PRODUCER__LINGER_MS", "7")
    settings = read_settings({"kafka": {"a.b": "flag"}})
    assert settings.consumer_properties() == {
        "linger.ms": "5",
        "enable.ssl.certificate.verification": "false",
        "a.b": "flag",
        "security.protocol": "SSL",
    }
    assert settings.producer_properties()["linger.ms"] == "7"


@pytest.mark.parametrize(
    ("name", "meant"),
    [("KUAIXUN_MAX_BACTH", "KUAIXUN_MAX_BATCH"), ("kuaixun_kafak__a", "KUAIXUN_KAFKA"), ("KUAIXUN_TOPIC", "KUAIXUN_")],
)
def test_a_misspelt_name_is_refused_with_the_one_meant(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, meant: str
) -> None:
    (empty_folder / ".env").write_text(f"{name}=1\n", "utf-8")
    with pytest.raises(SettingError, match=rf"{name} in \.env .* {meant}"):
        read_settings({})
    (empty_folder / ".env").unlink()
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingError, match=f"{name} in the environment .* {meant}"):
        read_settings({})


def test_names_for_tests_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUAIXUN_TEST_WHATEVER", "1")
    read_settings({})


@pytest.mark.parametrize("name", [*OWNED, "error_cb", "on_commit", "ENABLE_IDEMPOTENCE"])
def test_properties_of_the_worker_s_own_are_refused_by_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--producer", f"{name}=1"]) == SettingError.exit_code
    assert "in KUAIXUN_PRODUCER is the worker's own" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags",
    [
        ["--max-batch", "0"],
        ["--max-batch", HUSH],
        ["--auto-offset-reset", "none"],
        ["--input-topic", "a/b"],
        ["--output-topic", "news.raw"],
        ["--outage-seconds", "300"],
        ["--consumer", "max.poll.interval.ms=soon"],
        ["--kafka", "no.such.property=1"],
        ["--kafka", f"linger.ms={HUSH}", "--kafka", f"sasl.password={HUSH}"],
        ["--kafka", f"ssl.key.pem={HUSH}", "--kafka", "security.protocol=ssl"],
    ],
)
def test_a_wrong_setting_is_one_paragraph_without_secrets(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", *flags]) == SettingError.exit_code
    said = capsys.readouterr()
    assert len(said.err.strip().splitlines()) == 1
    assert HUSH not in said.err


@pytest.mark.parametrize("flags", [["--kafkaa", f"sasl.password={HUSH}"], ["--kafka", HUSH], [f"--pass={HUSH}"]])
def test_a_flag_that_is_none_repeats_no_secret(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["run", *flags])
    assert left.value.code == SettingError.exit_code
    assert HUSH not in capsys.readouterr().err


@pytest.mark.parametrize("value", [f'{{"sasl.password": "{HUSH}"', f'{{"sasl.password": ["{HUSH}"]}}', f'["{HUSH}"]'])
def test_wrong_json_repeats_no_secret(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUAIXUN_KAFKA", value)
    with pytest.raises(SettingError, match=r"(?i)kafka") as refused:
        read_settings({})
    assert HUSH not in str(refused.value)


@pytest.mark.parametrize(
    "name",
    [
        *("sasl.password", "ssl.key.pem", "ssl.key.password", "sasl.jaas.config", "sasl.oauthbearer.client.secret"),
        *("ssl.keystore.password", "sasl.oauthbearer.config", "sasl.oauthbearer.assertion.private.key.passphrase"),
    ],
)
def test_secrets_are_hidden_wherever_settings_are_shown(name: str) -> None:
    settings = read_settings({"kafka": {name: HUSH, "client.id": "seen"}})
    assert HUSH not in repr(settings) + str(settings) + settings.shown_properties() + settings.model_dump_json()
    assert "seen" in settings.shown_properties()
    assert HUSH not in hide_secrets(f"bad value {HUSH!r}", settings.consumer_properties())


def test_every_setting_is_a_flag_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["run", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for name, field in WorkerSettings.model_fields.items():
        assert f"--{name.replace('_', '-')} " in said
        assert field.description
        assert field.description.endswith(".")
        assert field.description in said
