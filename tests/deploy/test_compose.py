"""The compose file: valid by its specification, whole, and what its Kafka, topics and headlines are told works."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from kuaixun.worker.settings import PREFIX, read_settings, refuse_misspelt
from tests.conftest import do_without_kafka
from tests.deploy.test_containerfile import stages
from tests.deploy.tools import DEPLOY, ROOT, installed, of_environment, passes
from tests.kafka_broker import BrokerUnavailableError, KafkaBroker, free_ports, kafka_jars

FILE = DEPLOY / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SCRAPED = yaml.safe_load((DEPLOY / "compose" / "prometheus.yaml").read_text(encoding="utf-8"))["scrape_configs"]
TOPICS_TOOL = "/opt/kafka/bin/kafka-topics.sh"
HEADLINES = 40


def test_the_file_is_valid_by_the_specification() -> None:
    passes(of_environment("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", FILE)


def test_prometheus_takes_its_configuration() -> None:
    passes(installed("promtool"), "check", "config", "--syntax-only", DEPLOY / "compose" / "prometheus.yaml")


def test_every_image_is_pinned_by_its_digest_or_built_here() -> None:
    built = [service["image"] for service in SERVICES.values() if "build" in service]
    assert len(built) == len(set(built)), "two builds of one name"
    for name, service in SERVICES.items():
        assert service["image"] in built or re.search(r":[\w.]+@sha256:[0-9a-f]{64}$", service["image"]), name
    build = SERVICES["worker"]["build"]
    assert (FILE.parent / build["context"] / build["dockerfile"]).is_file()
    assert build["target"] in stages()


def test_every_file_that_is_mounted_is_there_and_every_volume_named() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (FILE.parent / source).exists(), source
                assert volume.endswith(":ro"), source
            else:
                assert source in COMPOSE["volumes"]


def test_nothing_can_be_reached_from_another_machine() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_what_holds_no_data_has_a_root_that_is_read_only() -> None:
    for name in SERVICES.keys() - {"kafka", "topics"}:
        assert SERVICES[name]["read_only"] is True, name
        assert SERVICES[name]["cap_drop"] == ["ALL"], name


def test_two_workers_run_by_settings_that_they_take_and_may_finish_what_they_began(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = SERVICES["worker"]
    assert worker["deploy"]["replicas"] == 2
    refuse_misspelt({"compose.yaml": worker["environment"]})
    for name, value in worker["environment"].items():
        monkeypatch.setenv(name, value)
    settings = read_settings({})
    grace_seconds = float(worker["stop_grace_period"].removesuffix("s"))
    assert grace_seconds > settings.revoke_budget_seconds + settings.shutdown_budget_seconds
    made = re.findall(r"for topic in (.*);", SERVICES["topics"]["command"][0])[0].split()
    assert {settings.input_topic, settings.output_topic, settings.dead_letter_topic} == set(made)
    assert SERVICES["headlines"]["command"][3] == settings.input_topic


def test_prometheus_looks_where_the_workers_show_themselves() -> None:
    (job,) = SCRAPED
    (names,) = job["dns_sd_configs"]
    assert names["names"] == ["worker"]
    (ports,) = SERVICES["worker"]["ports"]
    host, inside = ports.removeprefix("127.0.0.1:").split(":")
    assert names["port"] == int(inside)
    first, last = map(int, host.split("-"))
    assert last - first + 1 == SERVICES["worker"]["deploy"]["replicas"], "two cannot have one port"
    assert f'job="{job["job_name"]}"' in (DEPLOY / "prometheus" / "rules.yaml").read_text(encoding="utf-8")


def properties_of_kafka(moved: dict[str, str], data: Path) -> dict[str, str]:
    """The image's rule: KAFKA_NODE_ID is node.id. Addresses are moved to this machine's free ports."""
    environment = {name: str(value) for name, value in SERVICES["kafka"]["environment"].items()}
    properties = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in environment.items()
        if name.startswith("KAFKA_")
    }
    for name, value in properties.items():
        value = re.sub(r"(?<=[@/])(kafka|127\.0\.0\.1)?:(\d+)", lambda found: f"127.0.0.1:{moved[found[2]]}", value)
        properties[name] = value
    return {**properties, "log.dirs": str(data)}


@pytest.mark.timeout(600)
def test_its_kafka_starts_its_topics_are_made_and_headlines_arrive(tmp_path: Path) -> None:
    try:
        jars = kafka_jars()
    except BrokerUnavailableError as error:
        do_without_kafka(error)
    moved = dict(zip(("9092", "19092", "9093"), map(str, free_ports(3)), strict=True))
    properties = properties_of_kafka(moved, tmp_path / "data")
    with KafkaBroker(jars, int(moved["9092"]), properties) as broker:
        # The tool is a script around this class.
        tool = tmp_path / "kafka-topics.sh"
        java = f"java -Xmx256m -XX:TieredStopAtLevel=1 -cp {shlex.quote(f'{jars}/*')}"
        tool.write_text(f'#!/bin/sh\nexec {java} org.apache.kafka.tools.TopicCommand "$@"\n', encoding="utf-8")
        tool.chmod(0o755)
        (script,) = SERVICES["topics"]["command"]
        inside = f"127.0.0.1:{moved['19092']}"
        script = script.replace("$$", "$").replace(TOPICS_TOOL, str(tool)).replace("kafka:19092", inside)
        passes(*SERVICES["topics"]["entrypoint"], script)

        _, program = SERVICES["headlines"]["entrypoint"]
        (mounted,) = [one for one in SERVICES["headlines"]["volumes"] if f":{program}:" in one]
        arguments = [one.replace("kafka:19092", inside) for one in SERVICES["headlines"]["command"]]
        sent = subprocess.run(
            [sys.executable, str(FILE.parent / mounted.split(":")[0]), *arguments, "--count", str(HEADLINES)],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith(PREFIX)},
        )
        assert (sent.returncode, sent.stdout) == (0, f"sent {HEADLINES} headlines\n"), sent.stderr

        admin = AdminClient({"bootstrap.servers": broker.bootstrap})
        topics = admin.list_topics(timeout=60).topics
        assert {
            name: len(topic.partitions) for name, topic in topics.items() if not name.startswith("__")
        } == dict.fromkeys(("news.raw", "news.labelled", "news.dead_letter"), 4)
        reader = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "test"})
        ends = [reader.get_watermark_offsets(TopicPartition("news.raw", number), timeout=60) for number in range(4)]
        reader.close()
        assert sum(end for _, end in ends) == HEADLINES
