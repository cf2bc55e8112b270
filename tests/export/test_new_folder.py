"""A new folder of results: what its files may be read by."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kuaixun.export.new_folder import new_folder


@pytest.fixture(params=[0o022, 0o077, 0o007], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_what_a_library_wrote_for_the_owner_alone_is_as_open_as_the_umask_lets_it_be(
    tmp_path: Path, umask: int
) -> None:
    with new_folder(tmp_path / "model") as unfinished:
        (unfinished / "deep").mkdir()
        for name in ("weights", "deep/weights", "program"):
            (unfinished / name).touch()
            (unfinished / name).chmod(0o700 if name == "program" else 0o600)
        (unfinished / "plain").touch()

    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "model").rglob("*") if path.is_file()}
    usual = 0o666 & ~umask
    assert modes == {"weights": usual, "program": usual | 0o100, "plain": usual}
    assert (tmp_path / "model" / "deep" / "weights").stat().st_mode & 0o777 == usual
