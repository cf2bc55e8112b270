"""The unit restarts what a restart mends, leaves the rest alone, and waits for a worker that is leaving."""

from __future__ import annotations

import configparser
import re
import shutil
import signal
import subprocess
import tomllib
from pathlib import Path

import pytest

from kuaixun.worker import errors
from kuaixun.worker.life import STUCK_BEYOND_SECONDS
from kuaixun.worker.reload import Reloads, reload_on_hangup
from kuaixun.worker.settings import PREFIX, WorkerSettings, read_settings, refuse_misspelt
from kuaixun.worker.stop import Stop
from tests.deploy.unit import UNIT, values, worker_unit

ROOT = Path(__file__).resolve().parents[2]

MOST_EXPOSED_TENTHS = 20  # of systemd's scale, where 10.0 is no sandbox at all

# A broker that is away comes back, one fenced for its silence starts anew; so does whatever was no fault of the
# operator's.
MENDED_BY_A_RESTART = {
    errors.BrokerUnreachableError,
    errors.FatalKafkaError,
    errors.DeliveryFailedError,
    errors.ShutdownBudgetError,
    errors.FencedError,
    errors.SchemaRegistryError,
    errors.WorkerError,
}
OF_ANOTHER_COMMAND = {errors.ReplayUnfinishedError}


@pytest.fixture(scope="module")
def service() -> configparser.SectionProxy:
    return worker_unit()["Service"]


def environment() -> dict[str, str]:
    """What the unit sets itself."""
    return dict(value.split("=", 1) for value in values("Service", "Environment"))


def test_exit_codes_that_no_restart_mends_end_the_service(service: configparser.SectionProxy) -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.WorkerError)}
    final = {kind.exit_code for kind in kinds - MENDED_BY_A_RESTART - OF_ANOTHER_COMMAND}
    assert {int(code) for code in service["RestartPreventExitStatus"].split()} == final
    assert service["Restart"] == "on-failure"


def test_systemd_never_gives_up_on_a_worker_that_a_restart_may_mend() -> None:
    assert worker_unit()["Unit"]["StartLimitIntervalSec"] == "0"


def test_the_service_waits_longer_than_a_worker_takes_to_leave(service: configparser.SectionProxy) -> None:
    settings = read_settings({})
    assert int(service["TimeoutStopSec"]) > settings.revoke_budget_seconds + settings.shutdown_budget_seconds


def test_the_watchdog_waits_longer_than_the_worker_itself_before_it_calls_the_loop_stuck(
    service: configparser.SectionProxy,
) -> None:
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) > read_settings({}).longest_turn_seconds + STUCK_BEYOND_SECONDS
    assert int(service["TimeoutStartSec"]) > WorkerSettings.model_fields["outage_seconds"].default


def test_a_liveness_probe_waits_longer_than_the_worker_itself_before_it_calls_the_loop_stuck() -> None:
    page = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    (limit,) = re.findall(r"livenessProbe: .* -lt (\d+)", page)
    assert int(limit) > read_settings({}).longest_turn_seconds + STUCK_BEYOND_SECONDS


def test_each_instance_has_a_transactional_id_of_its_own_that_a_right_to_the_group_s_prefix_covers(
    service: configparser.SectionProxy,
) -> None:
    value = environment()[f"{PREFIX}TRANSACTIONAL_ID"]
    assert {"%i", "%H"} <= set(re.findall("%.", value)), "another machine's instance has the same"
    unit_prefix = UNIT.name.partition("@")[0]
    assert value.replace("%p", unit_prefix).startswith(f"{WorkerSettings.model_fields['group_id'].default}-")


def test_the_service_starts_a_command_that_the_package_installs(service: configparser.SectionProxy) -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    program, *arguments = service["ExecStart"].split()
    assert Path(program).name in scripts
    assert arguments == ["run"]


def test_a_reload_is_the_signal_that_the_worker_listens_to(service: configparser.SectionProxy) -> None:
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    before = signal.getsignal(signal.SIGHUP)
    with reload_on_hangup(Reloads(), Stop(5.0)):
        assert signal.getsignal(signal.SIGHUP) is not before


def test_a_credential_is_the_setting_that_its_file_is_named_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (loaded,) = values("Service", "LoadCredential")
    name, _, folder = loaded.partition(":")
    assert Path(folder).is_absolute()
    assert environment()[f"{PREFIX}SECRETS_FOLDER"] == "%d"
    # What systemd makes of a folder: "the ID of each is the given one, an underscore and the file's name".
    (tmp_path / f"{name}_KAFKA__SASL_PASSWORD").write_text("secret\n", "utf-8")
    monkeypatch.setenv(f"{PREFIX}SECRETS_FOLDER", str(tmp_path))
    assert read_settings({}).consumer_properties() == {"sasl.password": "secret"}


def test_every_setting_of_the_unit_is_one_of_the_worker_s() -> None:
    refuse_misspelt({UNIT.name: environment()})


def test_the_sandbox_is_tight_by_systemd_s_own_count() -> None:
    outcome = subprocess.run(
        [analyzer(), "security", "--offline=true", f"--threshold={MOST_EXPOSED_TENTHS}", "--no-pager", str(UNIT)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unrecognized option" in outcome.stderr:
        pytest.skip("this systemd-analyze cannot look at units that are not installed; 250 can")
    assert outcome.returncode == 0, f"{outcome.stdout}{outcome.stderr}"


def analyzer() -> str:
    """systemd-analyze, or the test is skipped."""
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not on this machine")
    return found


def test_systemd_itself_finds_nothing_wrong(tmp_path: Path) -> None:
    analyze = analyzer()
    unit = tmp_path / "kuaixun-worker@1.service"
    unit.write_text(UNIT.read_text(encoding="utf-8").replace("/opt/kuaixun/bin/kuaixun-worker", "/bin/true"))
    outcome = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
