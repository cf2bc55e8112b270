"""The commands of docs/deploying.md: run as they stand, in a root of their own, with the machine's services played.

What is played, so that no engine, no cluster and no root is needed, writes down what it was asked: docker, kubectl and
systemctl. What they would do with it, other tests here look at.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from dotenv import dotenv_values

from kuaixun.worker.addresses import host_and_port
from kuaixun.worker.errors import SettingError
from kuaixun.worker.settings import read_settings, refuse_misspelt
from tests.deploy.test_containerfile import installed_extras, stages
from tests.deploy.test_kubernetes import check, ports_reached, rendered
from tests.deploy.tools import ROOT, installed, passes
from tests.deploy.unit import UNIT, values

PAGE = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
PLAYED = ("docker", "kubectl", "systemctl", "systemd-ask-password", "deploy/install.sh")
HUSH = "a password"


def section_of(heading: str) -> str:
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def commands(heading: str) -> str:
    """The script under a heading: the lines that are set in, outside fences."""
    section = re.sub("^```.*?^```$", "", section_of(heading), flags=re.MULTILINE | re.DOTALL)
    return "".join(line[4:] + "\n" for line in section.splitlines() if line.startswith("    "))


def asked(heading: str, root: Path) -> list[list[str]]:
    """Run a section; what the played programs were asked, in order."""
    bin_folder, heard = root / "bin", root / "heard"
    bin_folder.mkdir()
    for name in PLAYED:
        program = bin_folder / Path(name).name
        program.write_text(
            f'#!/bin/sh\nprintf "%s\\t" {Path(name).name} "$@" >> {heard}\necho >> {heard}\n'
            f'if [ {name} = systemd-ask-password ]; then printf "%s" "{HUSH}"; fi\n',
            encoding="utf-8",
        )
        program.chmod(0o755)
    script = commands(heading).replace("deploy/install.sh", str(bin_folder / "install.sh"))
    script = re.sub(r"(?<![\w.])/etc/", f"{root}/etc/", script)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env={"PATH": f"{bin_folder}:/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return [line.split("\t")[:-1] for line in heard.read_text(encoding="utf-8").splitlines()]


def test_compose_is_asked_for_the_file_that_is_there(tmp_path: Path) -> None:
    (command,) = asked("One machine, to look at", tmp_path)
    assert command == ["docker", "compose", "-f", "deploy/compose.yaml", "up", "--build"]
    assert (ROOT / command[3]).is_file()


def test_the_systemd_section_leaves_a_unit_its_settings_and_a_secret_where_the_unit_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc" / "systemd" / "system").mkdir(parents=True)
    ran = asked("systemd", tmp_path)
    assert ran[0] == ["install.sh", "/opt/kuaixun", ",".join(["worker", "registry", "signing", "traces"])]
    assert values("Service", "ExecStart")[0].startswith("/opt/kuaixun/bin/")
    assert set(ran[0][2].split(",")) == installed_extras("worker")
    assert ran[-1] == ["systemctl", "enable", "--now", "kuaixun-worker@1", "kuaixun-worker@2"]

    system = tmp_path / "etc" / "systemd" / "system"
    assert (system / UNIT.name).read_bytes() == UNIT.read_bytes()
    settings = tmp_path / values("Service", "EnvironmentFile")[0].lstrip("/")
    credential, _, folder = values("Service", "LoadCredential")[0].partition(":")
    (secret,) = (tmp_path / folder.lstrip("/")).iterdir()
    assert secret.parent.stat().st_mode & 0o077 == 0, "others may read the secrets"
    assert settings.stat().st_mode & 0o077 == 0

    loaded = tmp_path / "loaded"
    loaded.mkdir()
    shutil.copy(secret, loaded / f"{credential}_{secret.name}")
    given = {**dotenv_values(settings), "KUAIXUN_SECRETS_FOLDER": str(loaded)}
    refuse_misspelt({"the page": given})
    for name, value in given.items():
        monkeypatch.setenv(name, value or "")
    assert read_settings({}).consumer_properties()["sasl.password"] == HUSH


def test_each_instance_that_the_page_names_has_a_port_of_its_own() -> None:
    few, many = re.findall(r"Environment=KUAIXUN_HEALTH_ADDRESS=(\d+)%i", PAGE)
    names = [*map(str, range(1, 10))], [f"{number:02}" for number in range(1, 100)]
    for prefix, instances in zip((few, many), names, strict=True):
        for instance in instances:
            host_and_port(f"{prefix}{instance}")
    with pytest.raises(SettingError):  # which is why the page has two
        host_and_port(f"{few}10")


def test_a_kustomization_of_one_s_own_reaches_the_collector_and_is_seen_by_the_operator(tmp_path: Path) -> None:
    (shown,) = re.findall(r"^```yaml\n(.*?)^```$", section_of("Kubernetes"), re.MULTILINE | re.DOTALL)
    (tmp_path / "kuaixun").symlink_to(ROOT)
    (tmp_path / "kustomization.yaml").write_text(shown, encoding="utf-8")
    manifests = rendered(str(tmp_path))
    for manifest in manifests:
        check(manifest)
    of_the_operator = [one for one in manifests if one["kind"] in {"ServiceMonitor", "PrometheusRule"}]
    assert [one["metadata"]["labels"]["release"] for one in of_the_operator] == ["kube-prometheus-stack"] * 2
    (worker,) = [one for one in manifests if one["kind"] == "Deployment"]
    (container,) = worker["spec"]["template"]["spec"]["containers"]
    assert container["image"].startswith("registry.example/kuaixun-worker:")
    assert 4318 in ports_reached(manifests)


def test_each_image_is_built_of_a_target_that_is_there(tmp_path: Path) -> None:
    built = asked("Containers", tmp_path)
    targets = [command[command.index("--target") + 1] if "--target" in command else "" for command in built]
    names = [command[command.index("-t") + 1] for command in built]
    assert all((ROOT / command[command.index("-f") + 1]).is_file() for command in built)
    # Without a target it is the last one.
    *_, last = stages()
    assert [f"kuaixun-{target or last}" for target in targets] == names


def test_the_cluster_is_given_the_secret_that_pods_mount_and_an_overlay_that_is_there(tmp_path: Path) -> None:
    namespace, secret, applied = asked("Kubernetes", tmp_path)
    deployment = yaml.safe_load((ROOT / "deploy/kubernetes/base/deployment.yaml").read_text(encoding="utf-8"))
    volumes = {one["name"]: one for one in deployment["spec"]["template"]["spec"]["volumes"]}
    assert secret[1:6] == ["--namespace", namespace[-1], "create", "secret", "generic"]
    assert secret[6] == volumes["secrets"]["secret"]["secretName"]
    keys = [one.split("=")[1] for one in secret[7:]]
    refuse_misspelt({"the page": dict.fromkeys(keys)})
    overlay = yaml.safe_load((ROOT / applied[-1] / "kustomization.yaml").read_text(encoding="utf-8"))
    assert overlay["namespace"] == namespace[-1]


def test_kubectl_makes_the_secret_that_the_page_asks_for(tmp_path: Path) -> None:
    kubectl = installed("kubectl")
    _, secret, _ = asked("Kubernetes", tmp_path)
    (tmp_path / "password.txt").write_text(HUSH, encoding="utf-8")
    command = [word.replace("password.txt", str(tmp_path / "password.txt")) for word in secret[1:]]
    made = yaml.safe_load(passes(kubectl, *command, "--dry-run=client", "--output=yaml"))
    assert set(made["data"]) == {"KUAIXUN_KAFKA__SASL_USERNAME", "KUAIXUN_KAFKA__SASL_PASSWORD"}


def test_every_file_that_the_page_names_is_there() -> None:
    for target in re.findall(r"\]\((?!#|http)([^)#]+)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
    for folder in re.findall(r"`((?:deploy|components|overlays)/[\w./-]+)`", PAGE):
        assert any((ROOT / above / folder).exists() for above in ("", "deploy/kubernetes")), folder
