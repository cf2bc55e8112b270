"""The manifests, as kustomize renders them: valid by the schemas of what they are for, and true to the worker."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator

from kuaixun.worker.life import STUCK_BEYOND_SECONDS
from kuaixun.worker.settings import WorkerSettings, read_settings, refuse_misspelt
from tests.deploy.tools import DEPLOY, ROOT, installed, passes

KUBERNETES = DEPLOY / "kubernetes"
CRDS = ROOT / "tests" / "deploy" / "crds"
OVERLAYS = ("cpu", "gpu", "keda")
VERSION = "1.32"

Manifest = dict[str, Any]


@cache
def rendered(folder: str) -> tuple[Manifest, ...]:
    """What an overlay, or a folder elsewhere, is in the end; the test is skipped where there is no kustomize."""
    kustomize = installed("kubectl", "kustomize")
    command = [kustomize, "kustomize"] if kustomize.endswith("kubectl") else [kustomize, "build"]
    return tuple(yaml.safe_load_all(passes(*command, KUBERNETES / folder)))


def one_of(kind: str, overlay: str = "cpu") -> Manifest:
    (manifest,) = [one for one in rendered(f"overlays/{overlay}") if one["kind"] == kind]
    return manifest


def pod(overlay: str = "cpu") -> Manifest:
    template: Manifest = one_of("Deployment", overlay)["spec"]["template"]["spec"]
    return template


def container(overlay: str = "cpu") -> Manifest:
    (worker,) = pod(overlay)["containers"]
    return dict(worker)


def ports_reached(manifests: Sequence[Manifest]) -> set[int]:
    """The TCP ports at which a worker may ask others."""
    (policy,) = [one for one in manifests if one["kind"] == "NetworkPolicy"]
    ports = [port for rule in policy["spec"]["egress"] for port in rule["ports"] if port["protocol"] == "TCP"]
    return {number for port in ports for number in range(port["port"], port.get("endPort", port["port"]) + 1)}


def check(manifest: Manifest) -> None:
    """Raise where a manifest has what its kind does not."""
    schema = CRDS / f"{manifest['kind']}.json"
    if schema.exists():
        Draft202012Validator(json.loads(schema.read_text(encoding="utf-8"))).validate(manifest)
    else:
        kubernetes_validate.validate(manifest, VERSION, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_valid_in_all_that_it_renders(overlay: str) -> None:
    manifests = rendered(f"overlays/{overlay}")
    assert {one["kind"] for one in manifests} >= {
        *("Deployment", "ServiceAccount", "ConfigMap", "Service", "PodDisruptionBudget", "NetworkPolicy"),
        *("ServiceMonitor", "PrometheusRule"),
    }
    for manifest in manifests:
        check(manifest)
        assert manifest["metadata"]["namespace"] == "kuaixun"


@pytest.mark.parametrize(
    "path",
    [
        str(path.relative_to(KUBERNETES))
        for path in sorted(KUBERNETES.rglob("*.yaml"))
        if path.name != "kustomization.yaml" and path.parent.name != "gpu"  # a patch, which is but a part
    ],
)
def test_a_file_is_valid_by_itself(path: str) -> None:
    """Also where there is no kustomize."""
    check(yaml.safe_load((KUBERNETES / path).read_text(encoding="utf-8")))


@pytest.mark.parametrize("kind", [path.stem for path in sorted(CRDS.glob("*.json"))])
def test_a_schema_refuses_what_the_kind_does_not_have(kind: str) -> None:
    schema = json.loads((CRDS / f"{kind}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    assert not Draft202012Validator(schema).is_valid({"kind": kind, "spec": {"noSuchThing": 1}})


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_settings_are_ones_that_a_worker_takes(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {**one_of("ConfigMap", overlay)["data"], **{one["name"]: one["value"] for one in container()["env"]}}
    refuse_misspelt({overlay: settings})
    for name, value in settings.items():
        if name != "KUAIXUN_SECRETS_FOLDER":  # which is there in the pod alone
            monkeypatch.setenv(name, value)
    port = read_settings({}).health_address
    assert str(port).endswith(str(container()["ports"][0]["containerPort"]))


def test_the_secret_is_mounted_where_the_worker_reads_it_and_may_be_missing() -> None:
    (folder,) = [one["value"] for one in container()["env"] if one["name"] == "KUAIXUN_SECRETS_FOLDER"]
    mounts = {one["mountPath"]: one["name"] for one in container()["volumeMounts"]}
    volumes = {one["name"]: one for one in pod()["volumes"]}
    assert volumes[mounts[folder]]["secret"]["optional"] is True


def test_the_grace_period_is_longer_than_giving_partitions_up_and_leaving() -> None:
    settings = read_settings({})
    budget = settings.revoke_budget_seconds + settings.shutdown_budget_seconds
    assert pod()["terminationGracePeriodSeconds"] > budget


def test_the_probes_ask_the_health_port_for_what_they_are_for() -> None:
    worker = container()
    asked = {name: worker[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {name: get["path"] for name, get in asked.items()} == {
        "startupProbe": "/startup",
        "livenessProbe": "/live",
        "readinessProbe": "/ready",
    }
    assert {get["port"] for get in asked.values()} == {worker["ports"][0]["name"]}
    startup = worker["startupProbe"]
    assert (
        startup["periodSeconds"] * startup["failureThreshold"] > WorkerSettings.model_fields["outage_seconds"].default
    )
    # A worker that is slow to connect says so itself, with exit code 5, before its loop ever turned.
    connect = float(one_of("ConfigMap")["data"]["KUAIXUN_CONNECT_SECONDS"])
    assert connect < startup["periodSeconds"] * startup["failureThreshold"]
    assert connect < read_settings({}).longest_turn_seconds + STUCK_BEYOND_SECONDS


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_pod_passes_where_the_restricted_standard_is_enforced(overlay: str) -> None:
    worker, whole = container(overlay), pod(overlay)
    assert worker["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert whole["securityContext"]["runAsNonRoot"] is True
    assert whole["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert whole["automountServiceAccountToken"] is False
    assert {"secret", "emptyDir"} >= {key for volume in whole["volumes"] for key in volume} - {"name"}
    assert "memory" in worker["resources"]["limits"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_selects_the_workers_selects_them(overlay: str) -> None:
    labels = one_of("Deployment", overlay)["spec"]["template"]["metadata"]["labels"].items()
    assert one_of("Service", overlay)["spec"]["selector"].items() <= labels
    for kind, key in (
        ("Deployment", "selector"),
        ("PodDisruptionBudget", "selector"),
        ("NetworkPolicy", "podSelector"),
    ):
        assert one_of(kind, overlay)["spec"][key]["matchLabels"].items() <= labels, kind
    monitored = one_of("ServiceMonitor", overlay)["spec"]
    assert monitored["selector"]["matchLabels"].items() <= one_of("Service", overlay)["metadata"]["labels"].items()
    ports = {port["name"] for port in one_of("Service", overlay)["spec"]["ports"]}
    assert {endpoint["port"] for endpoint in monitored["endpoints"]} <= ports


def test_the_alerts_know_the_workers_by_the_name_that_the_operator_gives_them() -> None:
    rules = (DEPLOY / "prometheus" / "rules.yaml").read_text(encoding="utf-8")
    assert f'job="{one_of("Service")["metadata"]["name"]}"' in rules


def test_a_gpu_is_asked_for_by_workers_that_compute_on_it() -> None:
    assert container("gpu")["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container("gpu")["image"].startswith("kuaixun-worker-cuda:")
    data = one_of("ConfigMap", "gpu")["data"]
    assert (data["KUAIXUN_ENGINE"], data["KUAIXUN_DEVICE"]) == ("torchscript", "cuda")
    assert data["KUAIXUN_INPUT_TOPIC"] == one_of("ConfigMap")["data"]["KUAIXUN_INPUT_TOPIC"]
    assert one_of("Deployment", "gpu")["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 0


def test_what_torch_compiles_is_kept_where_a_pod_may_write() -> None:
    home = next(one["value"] for one in container("gpu")["env"] if one["name"] == "HOME")
    mounts = {one["mountPath"]: one["name"] for one in container("gpu")["volumeMounts"]}
    volumes = {one["name"]: one for one in pod("gpu")["volumes"]}
    # CUDA's cache alone may grow to 1 GiB, and a pod that outgrows the limit is evicted.
    assert volumes[mounts[home]]["emptyDir"]["sizeLimit"] == "2Gi"
    assert {"KUAIXUN_SECRETS_FOLDER"} < {one["name"] for one in container("gpu")["env"]}


def test_a_worker_reaches_the_brokers_and_what_else_it_is_told_to_by_a_component(tmp_path: Path) -> None:
    brokers = {53, 9092, 9093, 9094}
    assert ports_reached(rendered("overlays/cpu")) == brokers
    (tmp_path / "kuaixun").symlink_to(KUBERNETES)
    added = {"otlp": 4318, "registry": 8081, "https": 443}
    assert added.keys() == {folder.name for folder in (KUBERNETES / "components" / "egress").iterdir()}
    components = [f"kuaixun/components/egress/{name}" for name in added]
    kustomization = {"resources": ["kuaixun/overlays/cpu"], "components": components}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
    manifests = rendered(str(tmp_path))
    assert ports_reached(manifests) == brokers | set(added.values())
    for manifest in manifests:
        check(manifest)


def test_keda_asks_about_the_group_that_the_workers_are() -> None:
    data = one_of("ConfigMap", "keda")["data"]
    (trigger,) = one_of("ScaledObject", "keda")["spec"]["triggers"]
    asked = trigger["metadata"]
    assert asked["bootstrapServers"] == data["KUAIXUN_BOOTSTRAP_SERVERS"]
    assert asked["consumerGroup"] == data["KUAIXUN_GROUP_ID"]
    assert asked["topic"] == data["KUAIXUN_INPUT_TOPIC"]
    assert asked["offsetResetPolicy"] == data["KUAIXUN_AUTO_OFFSET_RESET"]
    assert asked["offsetResetPolicy"] in {"earliest", "latest"}, "KEDA knows no others"


def test_keda_s_traps_are_kept_out_of() -> None:
    scaled = one_of("ScaledObject", "keda")["spec"]
    (trigger,) = scaled["triggers"]
    # A group without offsets would never be started from none.
    assert scaled["minReplicaCount"] >= 1
    # Workers beyond the partitions have nothing to do.
    assert trigger["metadata"]["allowIdleConsumers"] == "false"
    # The end markers of transactions are a lag of one in each partition.
    assert int(trigger["metadata"]["activationLagThreshold"]) > scaled["maxReplicaCount"]
    # A number in the Deployment would be set again with each `apply`, against KEDA's own.
    assert "replicas" not in one_of("Deployment", "keda")["spec"]
    assert all(math.isfinite(float(trigger["metadata"][key])) for key in ("lagThreshold", "activationLagThreshold"))
    down = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] > pod("keda")["terminationGracePeriodSeconds"]
