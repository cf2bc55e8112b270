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
from kuaixun.worker.settings import PREFIX, WorkerSettings, read_settings
from kuaixun.worker.stop import Stop
from tests.deploy.unit import UNIT, worker_unit

ROOT = Path(__file__).resolve().parents[2]

# A broker that is away comes back, one fenced for its silence starts anew; so does whatever was no fault of the
# operator's.
MENDED_BY_A_RESTART = {
    errors.BrokerUnreachableError,
    errors.FatalKafkaError,
    errors.DeliveryFailedError,
    errors.ShutdownBudgetError,
    errors.FencedError,
    errors.WorkerError,
}


@pytest.fixture(scope="module")
def service() -> configparser.SectionProxy:
    return worker_unit()["Service"]


def test_exit_codes_that_no_restart_mends_end_the_service(service: configparser.SectionProxy) -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.WorkerError)}
    final = {kind.exit_code for kind in kinds - MENDED_BY_A_RESTART}
    assert {int(code) for code in service["RestartPreventExitStatus"].split()} == final
    assert service["Restart"] == "on-failure"


def test_systemd_never_gives_up_on_a_worker_that_a_restart_may_mend() -> None:
    assert worker_unit()["Unit"]["StartLimitIntervalSec"] == "0"


def test_the_service_waits_longer_than_a_worker_takes_to_leave(service: configparser.SectionProxy) -> None:
    budget = WorkerSettings.model_fields["shutdown_budget_seconds"].default
    assert int(service["TimeoutStopSec"]) > budget


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
    name, _, value = service["Environment"].partition("=")
    assert name == f"{PREFIX}TRANSACTIONAL_ID"
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


def test_systemd_itself_finds_nothing_wrong(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not on this machine")
    unit = tmp_path / "kuaixun-worker@1.service"
    unit.write_text(UNIT.read_text(encoding="utf-8").replace("/opt/kuaixun/bin/kuaixun-worker", "/bin/true"))
    outcome = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
