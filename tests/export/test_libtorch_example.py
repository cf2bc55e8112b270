"""The C++ example over libtorch: built against the installed torch, under the bundle's own golden cases."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
import torch

from kuaixun.export import NO_LABEL, open_classifier
from kuaixun.export.bundle.file_names import GOLDEN_FILE, TORCHSCRIPT_FILE
from kuaixun.export.bundle.golden import GOLDEN_TEXTS, golden_from_file
from kuaixun.export.bundle.reader import default_bundle_path
from tests.export.cpp_build import SOURCE, built
from tests.export.hostile_bundles import rewrite


@pytest.fixture(scope="module")
def program() -> Path:
    options = (f"-DCMAKE_PREFIX_PATH={torch.utils.cmake_prefix_path}", "-DCMAKE_CXX_FLAGS_RELEASE=-O1")
    return built("libtorch", *options, source=SOURCE / "examples" / "libtorch") / "kuaixun-libtorch"


def run(program: Path, *options: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *options], input=text, capture_output=True, text=True, check=False)


def test_the_golden_cases_pass_on_libtorch(program: Path, bundle_path: Path) -> None:
    for path in (bundle_path, default_bundle_path()):
        done = run(program, "--bundle", path, "--golden")
        assert done.returncode == 0, done.stderr
        said, difference = done.stdout.rsplit(" ", 1)
        assert said == "golden cases on cpu: largest logit difference"
        assert float(difference) < 1e-4


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("ids", (3,), "the token ids of "),
        ("logits", (9.0, 0.0, 0.0), "alone its logits differ by"),
        ("text", "别的", "the text cleans to 别的, not to "),
        ("cleaned", "别的", "the text cleans to "),
    ],
)
def test_a_bundle_that_answers_otherwise_never_serves(
    program: Path, bundle_path: Path, tmp_path: Path, field: str, value: object, reason: str
) -> None:
    copy = Path(shutil.copytree(bundle_path, tmp_path / "copy"))
    cases = list(golden_from_file((copy / GOLDEN_FILE).read_bytes(), classes=3))
    cases[1] = msgspec.structs.replace(cases[1], **{field: value})
    rewrite(copy, {GOLDEN_FILE: b"\n".join(msgspec.json.encode(case) for case in cases)})
    for options in ((), ("--golden",)):
        done = run(program, "--bundle", copy, *options, text="央行降准\n")
        assert (done.returncode, done.stdout) == (3, "")
        assert f"golden case 2 of {copy} on the engine libtorch: {reason}" in done.stderr


def test_a_file_that_is_no_student_is_refused_by_name(program: Path, bundle_path: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle_path, tmp_path / "copy"))
    (copy / TORCHSCRIPT_FILE).write_bytes(b"x" * (copy / TORCHSCRIPT_FILE).stat().st_size)
    assert f"{copy / TORCHSCRIPT_FILE} was altered" in run(program, "--bundle", copy).stderr
    rewrite(copy, {TORCHSCRIPT_FILE: b"nothing of the kind"})
    done = run(program, "--bundle", copy)
    assert done.returncode == 3
    assert f"{copy / TORCHSCRIPT_FILE} holds no student" in done.stderr


def test_texts_get_the_labels_that_python_gives_them(program: Path) -> None:
    path = default_bundle_path()
    texts = [text.replace("\n", " ") for text in GOLDEN_TEXTS] * 50  # more than one batch
    done = run(program, "--bundle", path, text="\n".join(texts))
    assert done.returncode == 0, done.stderr
    classifier = open_classifier(path, engine="torchscript-convolutional", device="cpu")
    label_ids = classifier.classify(texts).label_ids.tolist()
    labels = [None if number == NO_LABEL else classifier.labels[number] for number in label_ids]
    assert [json.loads(line)["label"] for line in done.stdout.splitlines()] == labels


def test_a_gpu_that_is_not_there_is_refused(program: Path, bundle_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    done = run(program, "--bundle", bundle_path, "--device", "cuda")
    assert done.returncode == 10
    assert "libtorch finds no CUDA GPU" in done.stderr


@pytest.mark.parametrize("options", [[], ["--bundle"], ["--bundle", "x", "--device", "tpu"], ["--unknown"]])
def test_a_command_line_that_cannot_be_followed_is_refused(program: Path, options: list[str]) -> None:
    done = run(program, *options)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: kuaixun-libtorch")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_the_golden_cases_pass_on_a_gpu(program: Path) -> None:
    done = run(program, "--bundle", default_bundle_path(), "--device", "cuda", "--golden")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("golden cases on cuda: ")
