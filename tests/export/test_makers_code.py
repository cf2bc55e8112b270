"""A bundle's programs run where somebody vouches for their maker, and nowhere else."""

from __future__ import annotations

import io
import shutil
import warnings
from pathlib import Path

import pytest
import torch

from kuaixun.export.bundle.file_names import TORCHSCRIPT_FILE
from kuaixun.export.bundle.reader import default_bundle_path
from kuaixun.export.cli import main
from kuaixun.export.errors import GoldenCaseError
from kuaixun.export.makers_code import may_run_code
from kuaixun.export.student.tracing import trace
from tests.export.hostile_bundles import rewrite
from tests.export.test_signature import Keys

FAST = ["--seconds", "0.001", "--batches", "1"]


class Writes(torch.nn.Module):
    """A student that writes a file of its maker's choice while it scores."""

    def __init__(self, written: Path) -> None:
        super().__init__()
        self._written = str(written)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.zeros(ids.shape[0], 3) + torch.from_file(self._written, shared=True, size=1).fill_(1.0)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "written"


@pytest.fixture
def strange(bundle_path: Path, tmp_path: Path, written: Path) -> Path:
    """A bundle that agrees with itself, of a maker who is up to something."""
    copy = Path(shutil.copytree(bundle_path, tmp_path / "strange"))
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
        torch.jit.save(trace(Writes(written)), buffer)
    written.unlink()  # tracing runs it
    rewrite(copy, {TORCHSCRIPT_FILE: buffer.getvalue()})
    return copy


def test_verify_never_loads_the_program_of_a_stranger(
    strange: Path, written: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    assert main(["verify", "--bundle", str(strange)]) == 0
    assert not written.exists()
    assert f"{TORCHSCRIPT_FILE} " in (shown := capsys.readouterr().out)
    assert "not checked: it can hold code of its maker's; --run-code runs it" in shown
    assert main(["verify", "--bundle", str(strange), "--run-code"]) == GoldenCaseError.exit_code
    assert written.exists()


@pytest.mark.parametrize("options", [FAST, ["--lengths", "2,4"]])
def test_bench_never_loads_it_either(
    strange: Path, written: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert main(["bench", "--bundle", str(strange), *options]) == 0
    assert not written.exists()
    said = capsys.readouterr()
    assert "torchscript-convolutional is not measured, nor any ratio to it: of student.pt, it can hold code" in said.err
    assert "torchscript-convolutional" not in said.out
    assert main(["bench", "--bundle", str(strange), *options, "--run-code"]) == GoldenCaseError.exit_code
    assert written.exists()


@pytest.mark.parametrize("command", [["verify"], ["bench", *FAST]])
def test_a_public_key_vouches_for_the_maker(strange: Path, written: Path, tmp_path: Path, command: list[str]) -> None:
    keys = Keys(tmp_path, "maker")
    assert main(["sign", "--bundle", str(strange), "--key", str(keys.private)]) == 0
    assert not written.exists()
    signed = ["--bundle", str(strange), "--public-key", str(keys.public)]
    assert main([*command, *signed]) == GoldenCaseError.exit_code
    assert written.exists()


def test_the_bundle_that_came_with_the_package_is_no_strangers(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(default_bundle_path())
    copy = shutil.copytree(default_bundle_path(), tmp_path / "copy")
    answers = [may_run_code(path, run_code=False, public_key=None) for path in (default_bundle_path(), link, copy)]
    assert answers == [True, True, False]
