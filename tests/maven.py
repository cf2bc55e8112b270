"""What the tests run against and Maven brings: fetched once, kept under build/ until the pom changes."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

DOWNLOAD_SECONDS = 600
LOG_TAIL_CHARS = 4000


class UnavailableError(Exception):
    """This machine cannot have it: a tool is missing, or the artefacts cannot be had. The message says which."""


def fetched_by_maven(pom: Path, kept_in: Path, goal: str, *properties: str) -> Path:
    """The folder with what a goal of the dependency plugin brings by a pom. Raises UnavailableError."""
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            raise UnavailableError(f"`{tool}` is not on the PATH: install Java 17 and Maven")
    kept = kept_in / hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    if kept.is_dir():
        return kept
    kept_in.mkdir(parents=True, exist_ok=True)
    # Several processes run the tests, and Maven wants its own folder to itself. Fetched aside and renamed: what has the
    # name is complete, whoever was interrupted.
    with (kept_in.parent / "maven-one-at-a-time").open("w") as lock, tempfile.TemporaryDirectory(dir=kept_in) as aside:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if kept.is_dir():
            return kept
        fetched = Path(aside) / "fetched"
        maven = subprocess.run(
            [
                *("mvn", "--batch-mode", "--quiet", "--file", str(pom)),
                *(f"dependency:{goal}", f"-DoutputDirectory={fetched}", f"-DmarkersDirectory={aside}/markers"),
                *properties,
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_SECONDS,
            check=False,
        )
        if maven.returncode:
            raise UnavailableError(f"Maven could not fetch what {pom} names:\n{maven.stdout[-LOG_TAIL_CHARS:]}")
        fetched.rename(kept)
    return kept
