"""Settings in files of a folder: what is taken, from where it counts, and that nothing in them is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from kuaixun.worker import cli
from kuaixun.worker.errors import SettingError
from kuaixun.worker.settings import read_settings

HUSH = "hunter2 "


@pytest.fixture
def folder(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    secrets = empty_folder / "secrets"
    secrets.mkdir()
    monkeypatch.setenv("KUAIXUN_SECRETS_FOLDER", str(secrets))
    return secrets


def test_a_file_is_a_setting_but_for_the_end_of_its_line(folder: Path) -> None:
    (folder / "KUAIXUN_KAFKA__SASL_PASSWORD").write_text(f"{HUSH}\n", "utf-8")
    (folder / "kuaixun_group_id").write_bytes(b"labellers\r\n")
    settings = read_settings({"kafka": {"sasl.username": "labeller"}})
    assert settings.consumer_properties() == {"sasl.username": "labeller", "sasl.password": HUSH}
    assert settings.group_id == "labellers"
    assert HUSH not in settings.shown_properties()
    assert HUSH not in repr(settings)


def test_everything_else_wins_over_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_BATCH", "TOP_SCORES", "GROUP_ID", "MAX_IN_FLIGHT"):
        (folder / f"KUAIXUN_{name}").write_text("1", "utf-8")
    Path(".env").write_text("KUAIXUN_GROUP_ID=file\n", "utf-8")
    monkeypatch.setenv("KUAIXUN_TOP_SCORES", "2")
    settings = read_settings({"max_batch": "3"})
    chosen = (settings.max_batch, settings.top_scores, settings.group_id, settings.max_in_flight)
    assert chosen == (3, 2, "file", 1)


@pytest.mark.parametrize("place", ["flag", ".env"])
def test_the_folder_may_be_named_wherever_a_setting_may(
    empty_folder: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_folder / "KUAIXUN_GROUP_ID").write_text("labellers", "utf-8")
    if place == ".env":
        (empty_folder / ".env").write_text(f"KUAIXUN_SECRETS_FOLDER={empty_folder}\n", "utf-8")
    flags = {"secrets_folder": str(empty_folder)} if place == "flag" else {}
    assert read_settings(flags).group_id == "labellers"


def test_what_an_orchestrator_keeps_beside_is_left_alone(folder: Path) -> None:
    data = folder / "..2026_11_21"
    data.mkdir()
    (data / "KUAIXUN_GROUP_ID").write_text("labellers", "utf-8")
    (folder / "..data").symlink_to(data.name)
    (folder / "KUAIXUN_GROUP_ID").symlink_to("..data/KUAIXUN_GROUP_ID")
    (folder / "grafana_password").write_text("secret", "utf-8")
    assert read_settings({}).group_id == "labellers"


def test_a_misspelt_file_is_refused_with_the_name_meant(folder: Path) -> None:
    (folder / "KUAIXUN_KAFKA_SASL_PASSWORD").write_text(HUSH, "utf-8")
    with pytest.raises(SettingError, match="KUAIXUN_KAFKA__SASL_PASSWORD") as refusal:
        read_settings({})
    assert HUSH not in str(refusal.value)


@pytest.mark.parametrize("content", [b"\xff" + HUSH.encode(), HUSH.encode() * 200_000])
def test_a_file_that_holds_no_setting_is_named_and_not_repeated(
    folder: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "KUAIXUN_KAFKA__SASL_PASSWORD").write_bytes(content)
    assert cli.main(["check"]) == SettingError.exit_code
    said = capsys.readouterr().err
    assert str(folder / "KUAIXUN_KAFKA__SASL_PASSWORD") in said
    assert HUSH not in said


def test_a_folder_that_is_not_there_is_a_wrong_setting(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUAIXUN_SECRETS_FOLDER", str(empty_folder / "none"))
    assert cli.main(["check"]) == SettingError.exit_code
    assert f"{empty_folder / 'none'} cannot be read" in capsys.readouterr().err
