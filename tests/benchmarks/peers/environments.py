"""An environment for each peer: what it pins is its own, what it lacks it takes from this one.

`python -m tests.benchmarks.peers.environments [NAME…]` makes them beforehand.

A peer's own packages stand in `NAME.txt`, every one with its version, and are installed under `build/peers/NAME`. This
checkout, and the packages of the environment that runs this, stand at the end of the peer's path: kuaixun, numpy and
torch, of which a copy each would take 5 GB.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.benchmarks.failures import BenchmarkError

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[2]
ENVIRONMENTS = ROOT / "build" / "peers"
# Each peer's program, by the package that it shows.
PEERS = {
    "plain": "confluent-kafka",
    "quix_streams": "quixstreams",
    "bytewax_flow": "bytewax",
    "faust_agent": "faust-streaming",
    "fast_stream": "faststream",
}

INSTALL_SECONDS = 900
PINNED_FOR = (3, 11)
COMPLETE = "complete"


class PeerUnavailableError(BenchmarkError):
    """A peer's environment cannot be made here; the message says why."""


def script_of(name: str) -> Path:
    """The peer's program."""
    return FOLDER / f"{name}.py"


def python_of(name: str) -> Path:
    """The Python that runs a peer; its environment is made at its first use, and again when its versions change.

    Blocks for a minute or two then. Raises PeerUnavailableError.
    """
    if name not in PEERS:
        raise PeerUnavailableError(f"there is no peer {name}; there are {', '.join(PEERS)}")
    if sys.version_info[:2] != PINNED_FOR:
        raise PeerUnavailableError(
            f"the peers' versions are pinned for Python {PINNED_FOR[0]}.{PINNED_FOR[1]}, and this is "
            f"{sys.version_info[0]}.{sys.version_info[1]}: run the benchmark with that one (make PYTHON=python3.11)"
        )
    requirements, environment = FOLDER / f"{name}.txt", ENVIRONMENTS / name
    shared = _shared_packages()
    stamp = hashlib.sha256(requirements.read_bytes() + shared.encode()).hexdigest()
    complete = environment / COMPLETE
    if not _is_complete(complete, stamp):
        ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
        with (ENVIRONMENTS / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _is_complete(complete, stamp):  # another process may have made it meanwhile
                _make(name, requirements, environment, shared)
                complete.write_text(stamp, encoding="ascii")
    return environment / "bin" / "python"


def peer_versions() -> dict[str, str]:
    """The peers' own versions, with the clients' that they stand on, for reports."""
    clients = ("confluent-kafka", "aiokafka")
    return {
        name: ", ".join(f"{one} {version}" for one, version in versions_of(name).items() if one in {package, *clients})
        for name, package in PEERS.items()
    }


def versions_of(name: str) -> dict[str, str]:
    """What is pinned for a peer: versions by package."""
    lines = (FOLDER / f"{name}.txt").read_text("utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def _shared_packages() -> str:
    """A .pth file: https://docs.python.org/3.11/library/site.html. `addsitedir` minds editable installs too."""
    packages = sysconfig.get_path("purelib")
    return f"{ROOT}\nimport site; site.addsitedir({packages!r})\n"


def _is_complete(complete: Path, stamp: str) -> bool:
    return complete.is_file() and complete.read_text("ascii") == stamp


def _make(name: str, requirements: Path, environment: Path, shared: str) -> None:
    """In place of what there is. Raises PeerUnavailableError."""
    print(f"Installing the peer {name} into {environment}.", file=sys.stderr, flush=True)
    shutil.rmtree(environment, ignore_errors=True)
    python = _install(name, requirements, environment)
    packages = environment / "lib" / f"python{PINNED_FOR[0]}.{PINNED_FOR[1]}" / "site-packages"
    (packages / "kuaixun-benchmark.pth").write_text(shared, encoding="utf-8")
    _run([str(python), "-c", "import kuaixun.export._native, torch"], name)


def _install(name: str, requirements: Path, environment: Path) -> Path:
    """Make the environment, and return its Python."""
    _run([sys.executable, "-m", "venv", str(environment)], name)
    python = environment / "bin" / "python"
    flags = ("--quiet", "--disable-pip-version-check", "--no-deps")
    _run([str(python), "-m", "pip", "install", *flags, "--requirement", str(requirements)], name)
    return python


def _run(command: list[str], name: str) -> None:
    """Run a command of the installation. Raises PeerUnavailableError with what it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise PeerUnavailableError(f"the peer {name} was not installed in {INSTALL_SECONDS} s: {command}") from None
    if done.returncode:
        raise PeerUnavailableError(
            f"the peer {name} cannot be installed: {' '.join(command)} said\n{done.stdout}{done.stderr}"
        )


def main() -> int:
    """Make the environments named, or all."""
    try:
        for name in sys.argv[1:] or PEERS:
            print(f"{name}\t{python_of(name)}")
    except PeerUnavailableError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
