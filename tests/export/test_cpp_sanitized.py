"""The C++ runtime under the address and undefined-behaviour sanitizers: its unit tests, and fuzzing for a minute.

`make fuzz` fuzzes for as long as one likes.
"""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
import torch

from kuaixun.export.bundle.file_names import GOLDEN_FILE
from kuaixun.export.bundle.golden import golden_from_file
from kuaixun.export.student.folded import FoldedTextCNN
from kuaixun.export.student.weights import StudentWeights
from kuaixun.export.text.file_names import CODE_POINTS_FILE, PATTERNS_FILE, VOCABULARY_FILE
from kuaixun.export.text.files import pipeline_from_files
from kuaixun.schemas.manifest import Manifest, TextParameters
from tests.export.cpp_build import SOURCE, built, done

# The build, where it is the first and the machine has other work.
pytestmark = pytest.mark.timeout(900)
FUZZ = SOURCE / "fuzz"
FUZZ_SECONDS = 60
TARGETS = ("bundle", "bundle_files", "events", "text")


@pytest.fixture(scope="module")
def sanitized() -> Path:
    """The folder of the build with both sanitizers, the fuzz targets in it."""
    options = ("SANITIZE=ON", "WERROR=ON", "FUZZ=ON", "TESTS=OFF")
    return built("cpp-sanitized", *(f"-DKUAIXUN_{option}" for option in options))


def test_the_unit_tests_pass_without_a_finding(sanitized: Path) -> None:
    built(sanitized.name, "-DKUAIXUN_TESTS=ON")
    tested = done(["ctest", "--test-dir", str(sanitized), "--output-on-failure", "--no-tests=error"])
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_no_input_breaks(sanitized: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        fuzzed = list(pool.map(lambda target: fuzz(sanitized, target, tmp_path / target), TARGETS))
    for target, finished in zip(TARGETS, fuzzed, strict=True):
        findings = {path: path.read_bytes() for path in (tmp_path / target / "findings").iterdir()}
        assert finished.returncode == 0, f"{target}: {findings}\n{finished.stdout}{finished.stderr}"


def fuzz(build: Path, target: str, folder: Path) -> subprocess.CompletedProcess[str]:
    corpus, findings = folder / "corpus", folder / "findings"
    for place in (corpus, findings):
        place.mkdir(parents=True)
    command = [
        str(build / "fuzz" / f"fuzz_{target}"),
        *(
            f"-max_total_time={FUZZ_SECONDS}",
            f"-dict={FUZZ / target.removesuffix('_files')}.dict",
            f"-artifact_prefix={findings}/",
        ),
        *(str(corpus), str(FUZZ / "corpus" / target)),
    ]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)


def test_the_seeds_of_the_fuzzers_are_sound() -> None:
    """Or half of a reader lies idle: whatever is mutated from a seed that is refused early is refused early too."""
    seeds = {path.name: path.read_bytes()[1:] for path in (FUZZ / "corpus" / "bundle_files").iterdir()}
    for name in ("manifest", "manifest_of_defaults", "manifest_of_marks"):
        manifest = msgspec.json.decode(seeds[name], type=Manifest)
        assert manifest.model_id == manifest.content_id(), name
    architecture = msgspec.json.decode(seeds["manifest"], type=Manifest).architecture
    for name in ("weights", "weights_of_the_largest", "weights_of_the_smallest"):
        StudentWeights.from_safetensors(seeds[name], architecture, classes=2)
    files = {CODE_POINTS_FILE: "code_points", PATTERNS_FILE: "patterns", VOCABULARY_FILE: "vocabulary"}
    pipeline_from_files(TextParameters(), {name: seeds[seed] for name, seed in files.items()})
    golden_from_file(seeds["golden"], classes=2)


def test_the_seeds_of_whole_bundles_pass_their_golden_cases() -> None:
    for path in (FUZZ / "corpus" / "bundle").iterdir():
        content, *files = path.read_bytes().split(b"\x1e", 5)
        manifest = msgspec.json.decode(content, type=Manifest)
        by_name = dict(zip((CODE_POINTS_FILE, GOLDEN_FILE, PATTERNS_FILE, VOCABULARY_FILE), files, strict=False))
        pipeline = pipeline_from_files(manifest.text, by_name)
        weights = StudentWeights.from_safetensors(files[-1], manifest.architecture, classes=len(manifest.labels))
        assert len(pipeline.vocabulary) == manifest.architecture.vocabulary_size
        golden = golden_from_file(by_name[GOLDEN_FILE], classes=len(manifest.labels))
        module = FoldedTextCNN(manifest.architecture, weights).eval()
        for case in golden:
            encoded = pipeline.encode([case.text])
            assert pipeline.clean([case.text]) == [case.cleaned]
            with torch.inference_mode():
                logits = module(torch.from_numpy(encoded.ids).long())
            assert logits[0].tolist() == pytest.approx(case.logits, abs=1e-3)
