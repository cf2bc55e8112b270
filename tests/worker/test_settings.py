"""Settings: where they come from, what is refused, and that no secret is ever shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kuaixun.worker import cli
from kuaixun.worker.errors import SettingError
from kuaixun.worker.properties import OWNED, hide_secrets
from kuaixun.worker.settings import WorkerSettings, read_settings

HUSH = "hunter2"


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


@pytest.mark.parametrize(
    "name",
    [
        *("KUAIXUN_WORKER_SERVICE_HOST", "KUAIXUN_WORKER_SERVICE_PORT", "KUAIXUN_WORKER_SERVICE_PORT_METRICS"),
        *("KUAIXUN_PORT", "KUAIXUN_PORT_9092_TCP", "KUAIXUN_PORT_9092_TCP_PROTO", "KUAIXUN_KAFKA_PORT_53_UDP_ADDR"),
    ],
)
def test_the_names_of_kubernetes_services_are_left_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "tcp://10.0.0.1:9092")
    assert read_settings({}).consumer_properties() == {}


def test_a_file_that_is_not_utf8_is_a_wrong_setting(empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (empty_folder / ".env").write_bytes("KUAIXUN_GROUP_ID=快讯\n".encode("gbk"))
    assert cli.main(["check"]) == SettingError.exit_code
    assert str(empty_folder / ".env") in capsys.readouterr().err


@pytest.mark.parametrize("line", ["'KUAIXUN_GROUP_ID", f"KUAIXUN_KAFKA__SASL_PASSWORD='{HUSH}", "KUAIXUN_GROUP_ID"])
def test_a_line_of_the_file_that_is_no_setting_is_refused_with_its_number(
    empty_folder: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    (empty_folder / ".env").write_text(f"# mine\nOTHER=1\n{line}\nKUAIXUN_MAX_BATCH=1\n", "utf-8")
    assert cli.main(["check"]) == SettingError.exit_code
    said = capsys.readouterr()
    assert f"{empty_folder / '.env'}, line 3: " in said.err
    assert HUSH not in said.err


def test_a_folder_in_the_file_s_place_is_refused(empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (empty_folder / ".env").mkdir()
    assert cli.main(["check"]) == SettingError.exit_code
    assert str(empty_folder / ".env") in capsys.readouterr().err


def test_a_link_to_itself_in_the_file_s_place_is_refused(
    empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (empty_folder / ".env").symlink_to(".env")
    assert cli.main(["check"]) == SettingError.exit_code
    assert f"{empty_folder / '.env'} cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("KUAIXUN_KAFKA_SECURITY_PROTOCOL", "two underscores: KUAIXUN_KAFKA__SECURITY_PROTOCOL."),
        ("KUAIXUN_FOO", "`kuaixun-worker run --help` lists them all."),
    ],
)
def test_a_name_like_no_other_is_met_with_advice_and_no_guess(
    name: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingError) as refused:
        read_settings({})
    assert str(refused.value) == f"{name} in the environment is no setting of this worker. " + (
        f"A property takes {advice}" if "two" in advice else advice
    )


@pytest.mark.parametrize(
    ("name", "value", "must"),
    [
        ("INPUT_TOPIC", "a/b", "must be a topic's name: 1 to 249 of"),
        ("GROUP_ID", "", "must not be empty"),
        ("MAX_BATCH", "ten", "must be a whole number"),
        ("MAX_BATCH", "0", "must be at least 1"),
        ("MAX_DELAY_MS", "1e9", "must be at most 60000"),
        ("OUTAGE_SECONDS", "x", "must be a number"),
        ("COMMIT_INTERVAL_SECONDS", "0", "must be more than 0"),
        ("LOG_LEVEL", "loud", "must be 'debug', 'info', 'warning' or 'error'"),
        ("AUTO_OFFSET_RESET", "none", "must be 'earliest', 'latest' or 'stop'"),
        ("KAFKA", '["a"]', "must be a JSON object"),
        ("KAFKA", '{"a": [1]}', "must be a text, a number, true or false"),
        ("KAFKA", "{", "is not JSON"),
    ],
)
def test_a_wrong_value_is_met_with_the_setting_s_name_and_what_it_must_be(
    name: str, value: str, must: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"KUAIXUN_{name}", value)
    with pytest.raises(SettingError, match=rf"^KUAIXUN_{name} .*{re.escape(must)}"):
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
        ["--outage-seconds", "0.0004"],
        ["--consumer", "max.poll.interval.ms=soon"],
        ["--kafka", "no.such.property=1"],
        ["--kafka", f"linger.ms={HUSH}", "--kafka", f"sasl.password={HUSH}"],
        ["--kafka", f"ssl.key.pem={HUSH}", "--kafka", "security.protocol=ssl"],
        ["--kafka", f"sasl.pasword={HUSH}"],
        ["--bootstrap-servers", f"127.0.0.1:9,u:{HUSH}@127.0.0.1:9"],
        ["--bootstrap-servers", "127.0.0.1:99999"],
        ["--bootstrap-servers", "SSL://[::1]:0"],
    ],
)
def test_a_wrong_setting_is_one_paragraph_without_secrets(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", *flags]) == SettingError.exit_code
    said = capsys.readouterr()
    assert len(said.err.strip().splitlines()) == 1
    assert HUSH not in said.out + said.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--kafkaa", f"sasl.password={HUSH}"], "--kafkaa"),
        (["run", "--kafka", HUSH], "PROPERTY=VALUE"),
        (["run", f"--pass={HUSH}"], "--pass "),
        (["run", "--kafka=sasl.password=a", "--sasl.password", HUSH], "--sasl.password"),
        (["run", "--kafka", "sasl.password=hun", HUSH], "unrecognized"),
        (["--kafka", f"sasl.password={HUSH}", "run"], "'run'"),
        ([f"--={HUSH}", "run"], "unrecognized"),
        ([f"--version={HUSH}"], "--version"),
    ],
)
def test_a_wrong_command_line_repeats_no_secret(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == SettingError.exit_code
    said = capsys.readouterr().err
    assert HUSH not in said
    assert says in said


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
