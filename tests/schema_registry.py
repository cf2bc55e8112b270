"""A real schema registry for the tests: Apicurio's, which speaks Confluent's REST interface, by Maven and in memory."""

from __future__ import annotations

import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

from tests.kafka_broker import ROOT, SHORT_LIVED, free_ports
from tests.maven import fetched_by_maven

POM = Path(__file__).with_name("registry") / "pom.xml"
UNPACKED = ROOT / "build" / "registry"
START_SECONDS = 240
INTERFACE = "/apis/ccompat/v7"


class RegistryFailedError(Exception):
    """A registry was started and did not come up; the message ends with what it wrote."""


@contextmanager
def running_registry() -> Iterator[str]:
    """The address of a registry on loopback, empty at first. Raises UnavailableError and RegistryFailedError."""
    folder = fetched_by_maven(POM, UNPACKED, "unpack-dependencies")
    [jar] = folder.glob("apicurio-registry-app-*-runner.jar")
    [port] = free_ports(1)
    address = f"http://127.0.0.1:{port}{INTERFACE}"
    with tempfile.TemporaryFile("w+") as log:
        registry = subprocess.Popen(
            [
                *("java", "-Xmx256m", *SHORT_LIVED, "-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={port}"),
                *("-jar", str(jar)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _answers(address):
                if registry.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise RegistryFailedError(log.read()[-4000:])
                time.sleep(0.1)
            yield address
        finally:
            registry.kill()
            registry.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/subjects", timeout=5) as answer:  # noqa: S310 - of loopback
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
