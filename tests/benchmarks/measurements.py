"""The raw figures of docs/engine-speed.md: `python -m tests.benchmarks.measurements FOLDER [--texts titles.txt]`.

Every figure of the page's engines, lengths, vocabulary and memory comes from a file that this writes, on a machine that
does nothing else. The steps are run one after the other; each writes its file at its end, so that what was measured
before a step fails, or is stopped, stays.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from kuaixun.export.bundle.reader import default_bundle_path, read_manifest
from kuaixun.export.figures_file import write_figures

ROOT = Path(__file__).parents[2]
RUNS = 3
LENGTHS = "4,8,16,24,32"
PACKAGES = ("kuaixun", "numpy", "torch")


@dataclass(frozen=True, slots=True)
class Step:
    """A command and the file that it writes; where `reads` is set, the file that its printed JSON lines go to.

    `reads` is then its standard input.
    """

    file: Path
    command: tuple[str, ...]
    reads: Path | None = None


def steps(folder: Path, bundle: Path, texts: Path | None, runs: int, seconds: float, program: Path) -> Iterator[Step]:
    """All that is measured, in order; `program` is kuaixun-bench."""
    bench = (sys.executable, "-m", "kuaixun.export.cli", "bench", "--run-code", "--bundle", str(bundle))
    titles = ("--texts", str(texts)) if texts else ()
    for run in range(1, runs + 1):
        file = folder / f"speeds-{run}.json"
        yield Step(file, (*bench, *titles, "--seconds", str(seconds), "--json", str(file)))
    lengths = folder / "lengths.json"
    yield Step(lengths, (*bench, "--lengths", LENGTHS, "--json", str(lengths)))
    vocabulary = folder / "vocabulary.json"
    yield Step(vocabulary, (sys.executable, "-m", "tests.benchmarks.vocabulary", str(vocabulary)))
    # Without texts it measures memory alone.
    yield Step(folder / "native.json", (str(program), str(bundle), str(seconds)), reads=texts or Path(os.devnull))


def take(step: Step) -> None:
    """Run one step. Raises CalledProcessError."""
    # On the same thread counts whatever the shell has set.
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    if step.reads is None:
        subprocess.run(step.command, check=True, cwd=ROOT, env=environment)
        return
    with step.reads.open("rb") as source:
        printed = subprocess.run(
            step.command, check=True, cwd=ROOT, env=environment, stdin=source, stdout=subprocess.PIPE
        ).stdout
    write_figures(step.file, [json.loads(line) for line in printed.splitlines()])


def machine(bundle: Path) -> dict[str, object]:
    """What the figures are of, and what they were measured on."""
    information = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    names = [line.partition(":")[2].strip() for line in information.splitlines() if line.startswith("model name")]
    caches = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"))
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "model_id": read_manifest(bundle).model_id,
        "processor": names[0] if names else platform.processor(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "caches": {
            f"level {(cache / 'level').read_text().strip()} {(cache / 'type').read_text().strip()}": (
                (cache / "size").read_text().strip()
            )
            for cache in caches
        },
        "load_before": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def built_program() -> Path:
    """kuaixun-bench, built as it ships."""
    build = ROOT / "build" / "cpp-bench"
    subprocess.run(["cmake", "-S", ROOT / "export/cpp", "-B", build, "-DKUAIXUN_BENCH=ON"], check=True)
    subprocess.run(["cmake", "--build", build, "--target", "kuaixun-bench", "--parallel", "2"], check=True)
    return build / "kuaixun-bench"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.measurements", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the files go")
    parser.add_argument("--bundle", type=Path, default=default_bundle_path(), help="default: the one shipped")
    parser.add_argument("--texts", type=Path, help="one text a line; default: texts drawn from the vocabulary")
    parser.add_argument("--runs", type=int, default=RUNS, help="of the engines side by side; default: %(default)s")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each figure and round; default: %(default)s")
    options = parser.parse_args(arguments)
    program = built_program()
    options.folder.mkdir(parents=True, exist_ok=True)
    folder, bundle = options.folder.resolve(), options.bundle.resolve()
    texts = options.texts.resolve() if options.texts else None
    write_figures(folder / "machine.json", machine(bundle))
    for step in steps(folder, bundle, texts, options.runs, options.seconds, program):
        print(f"{step.file.name}: {' '.join(step.command)}", flush=True)
        take(step)


if __name__ == "__main__":
    main()
