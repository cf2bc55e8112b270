"""What goes wrong is told three ways, whole: a line of the log, the worker's page, an alert of a real Prometheus."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from kuaixun.export.bundle.reader import default_bundle_path
from kuaixun.worker.delivery.promise import Guarantee
from tests.conftest import do_without_kafka
from tests.deploy.tools import DEPLOY, installed
from tests.kafka_broker import BrokerUnavailableError, KafkaBroker, free_ports, kafka_jars
from tests.worker.bundles import damaged_bundle, turn
from tests.worker.observability.asked import ask
from tests.worker.test_contract import many, process, record
from tests.worker.topics import PATIENCE_SECONDS, Topics

IN_A_ROW = 200


@dataclass(frozen=True, slots=True)
class Told:
    """What a worker's page and log, and Prometheus' alerts, say by now."""

    troubles: Callable[[], set[str]]
    lines: Callable[[], list[str]]
    alerts: Callable[[], set[str]]

    def until(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            assert time.monotonic() < deadline, (self.troubles(), self.alerts(), self.lines())
            time.sleep(0.2)

    def until_all_tell(self, trouble: str, alert: str, line: str) -> None:
        self.until(lambda: trouble in self.troubles())
        self.until(lambda: alert in self.alerts())
        self.until(lambda: any(line in said for said in self.lines()))

    def until_over(self, trouble: str, alert: str) -> None:
        self.until(lambda: trouble not in self.troubles() and alert not in self.alerts())


@contextmanager
def prometheus(folder: Path, worker: str) -> Iterator[str]:
    """The address of a Prometheus that looks at a worker each second, and does not wait before it speaks."""
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    configuration = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": "kuaixun-worker", "static_configs": [{"targets": [worker]}]}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    [port] = free_ports(1)
    with subprocess.Popen(
        [
            *(installed("prometheus"), f"--config.file={folder / 'prometheus.yaml'}"),
            *(f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def firing(address: str) -> set[str]:
    try:
        found: Any = json.loads(ask(f"{address}/api/v1/alerts").body)["data"]["alerts"]
    except (OSError, ValueError):  # it is not up yet
        return set()
    return {alert["labels"]["alertname"] for alert in found if alert["state"] == "firing"}


def keep(said: Iterable[str], lines: list[str]) -> None:
    for line in said:
        lines.append(line)  # noqa: PERF402 - as they come


def troubles(address: str) -> set[str]:
    try:
        return {trouble["kind"] for trouble in json.loads(ask(f"{address}/state.json").body)["troubles"]}
    except OSError:  # it is not up yet
        return set()


@pytest.fixture
def broker() -> Iterator[KafkaBroker]:
    try:
        with KafkaBroker(kafka_jars(), short_lived=True) as one:
            yield one
    except BrokerUnavailableError as error:
        do_without_kafka(error)


@pytest.mark.parametrize("guarantee", Guarantee)
def test_brokers_away_dead_letters_and_a_bad_bundle(broker: KafkaBroker, tmp_path: Path, guarantee: Guarantee) -> None:
    installed("prometheus")
    topics = Topics.create(broker.bootstrap, real=True, delivery=guarantee)
    link, lines = tmp_path / "current", list[str]()
    damaged_bundle(tmp_path / "damaged")
    turn(link, default_bundle_path())
    [port] = free_ports(1)
    flags = ("--health-address", f"{port}", "--bundle", str(link), "--dead-letters-in-a-row", str(IN_A_ROW))
    with (
        process(topics, *flags, module="kuaixun.worker.cli") as worker,
        prometheus(tmp_path, f"127.0.0.1:{port}") as address,
    ):
        threading.Thread(target=keep, args=(worker.stderr, lines), daemon=True).start()
        told = Told(
            lambda: troubles(f"http://127.0.0.1:{port}"),
            lambda: [json.loads(line)["message"] for line in [*lines]],
            lambda: firing(address),
        )
        topics.write([record(0, b"{")] * (IN_A_ROW - 1))
        told.until_all_tell("limitNear", "KuaixunDeadLetterLimitNear", "dead letters come near the limit")
        topics.write(many(40))
        told.until_over("limitNear", "KuaixunDeadLetterLimitNear")
        turn(link, tmp_path / "damaged")
        told.until_all_tell("bundleRefused", "KuaixunBundleRefused", "bundle refused")
        turn(link, default_bundle_path())
        told.until_over("bundleRefused", "KuaixunBundleRefused")
        broker.stop()
        told.until_all_tell("brokersAway", "KuaixunBrokersAway", "trouble with Kafka")
        broker.start()
        told.until_over("brokersAway", "KuaixunBrokersAway")
        topics.write(many(40, 40))
        topics.wait_for(topics.output, 80)
