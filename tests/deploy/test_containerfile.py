"""The images: pinned, without root, with what a worker in them may be asked for."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import pytest

from kuaixun.worker.addresses import host_and_port
from kuaixun.worker.observability.routes import Response, Routes
from kuaixun.worker.observability.server import HttpServer
from kuaixun.worker.settings import read_settings
from tests.deploy.tools import DEPLOY, ROOT, of_environment, passes

CONTAINERFILE = DEPLOY / "Containerfile"
IMAGES = ("worker", "worker-cuda", "trainer")


@dataclass(frozen=True, slots=True)
class Stage:
    """One FROM and what follows, comments and line ends taken out."""

    name: str
    parent: str
    instructions: tuple[str, ...]

    def all_of(self, instruction: str) -> list[str]:
        """What stands behind each such instruction."""
        return [one.partition(" ")[2] for one in self.instructions if one.split()[0] == instruction]


def stages() -> dict[str, Stage]:
    text = re.sub(r"^#.*\n", "", CONTAINERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line.strip() for line in re.sub(r"\\\n\s*", "", text).splitlines() if line.strip()]
    found: list[Stage] = []
    for line in lines:
        if made := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            found.append(Stage(made[2], made[1], ()))
        elif found:
            found[-1] = Stage(found[-1].name, found[-1].parent, (*found[-1].instructions, line))
    return {stage.name: stage for stage in found}


def with_parents(name: str) -> list[Stage]:
    """A stage and what it is made on, the last first."""
    every = stages()
    return [every[name], *(with_parents(every[name].parent) if every[name].parent in every else [])]


def installed_extras(image: str) -> set[str]:
    """The extras that the environment of an image is made with."""
    (copied,) = [one for one in stages()[image].all_of("COPY") if one.startswith("--from=")]
    environment = copied.split()[0].removeprefix("--from=")
    (command,) = stages()[environment].all_of("RUN")
    script, folder, extras = command.split()
    assert (ROOT / script).is_file()
    assert copied.split()[1:] == [folder, folder], "an environment works only where it was made"
    return set(extras.split(","))


def test_the_linter_finds_nothing_wrong() -> None:
    passes(of_environment("hadolint"), "--failure-threshold=style", CONTAINERFILE)


def test_every_image_stands_on_one_that_is_pinned_by_its_digest() -> None:
    (base,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)", CONTAINERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}", base)
    every = stages()
    assert {stage.parent for stage in every.values()} - every.keys() == {"${PYTHON_IMAGE}"}


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_nobody_and_holds_neither_compiler_nor_source(image: str) -> None:
    users = [user for stage in with_parents(image) for user in stage.all_of("USER")]
    assert users == ["65532:65532"]
    assert [stage.name for stage in with_parents(image) if "source" in stage.name or stage.all_of("RUN")] == []


@pytest.mark.parametrize(
    ("image", "with_torch"), [("worker", False), ("worker-cuda", True), ("trainer", True)], ids=IMAGES
)
def test_torch_is_where_it_is_needed_and_nowhere_else(image: str, with_torch: bool) -> None:
    extras = installed_extras(image)
    assert bool(extras & {"torch", "trainer", "onnx"}) is with_torch
    assert ("worker" in extras) is (image != "trainer")


def test_the_extras_are_the_project_s_and_bring_what_checks_a_signature() -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for image in IMAGES:
        assert installed_extras(image) <= known.keys()
        brought = {re.split("[^a-z-]", one)[0] for extra in installed_extras(image) for one in known[extra]}
        assert "cryptography" in brought


def test_a_worker_s_image_asks_its_own_health_port_whether_it_lives() -> None:
    variables = " ".join(one for stage in with_parents("worker") for one in stage.all_of("ENV"))
    (address,) = re.findall(r"KUAIXUN_HEALTH_ADDRESS=(\S+)", variables)
    assert read_settings({"health_address": address}).health_address is not None
    (port,) = [port for stage in with_parents("worker") for port in stage.all_of("EXPOSE")]
    assert address.endswith(f":{port}")


@pytest.mark.parametrize("host", ["", "127.0.0.1:", "127.0.0.2:", "0.0.0.0:", "localhost:", "[::]:", "[::1]:"])
@pytest.mark.parametrize("status", [HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE])
def test_the_health_check_asks_where_the_worker_answers_and_heeds_what_it_says(host: str, status: HTTPStatus) -> None:
    if "[" in host and not has_ipv6_loopback():
        pytest.skip("this machine has no IPv6")
    live: Routes = {("GET", "/live"): lambda _: Response(status=status, body=b"")}
    with HttpServer(*host_and_port(f"{host}0"), live) as running:
        port = running.url.rpartition(":")[2]
        assert asked_for_health(f"{host}{port}") == (status is not HTTPStatus.OK)
    assert asked_for_health(f"{host}{port}") != 0, "nobody answers any more"


def asked_for_health(address: str) -> int:
    """What a worker's health check exits with, of a container that has a proxy which is not there."""
    [said] = [health for stage in with_parents("worker") for health in stage.all_of("HEALTHCHECK")]
    program, *arguments = json.loads(said.partition(" CMD ")[2])
    assert program == "python"
    environment = {**os.environ, "KUAIXUN_HEALTH_ADDRESS": address, "http_proxy": "http://127.0.0.1:1", "no_proxy": ""}
    return subprocess.run([sys.executable, *arguments], env=environment, stderr=subprocess.DEVNULL).returncode


def has_ipv6_loopback() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_the_build_does_not_see_what_is_not_committed() -> None:
    ignored = set((ROOT / ".dockerignore").read_text(encoding="utf-8").split())
    assert {".git", ".venv", "build", ".env", "runs"} <= ignored
    assert not any(Path(name).parts[0] in {"deploy", "src", "worker", "export", "constraints.txt"} for name in ignored)
