"""A toy language: every line says one character over and over, so that a hidden one can be told from the others."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

CHARACTERS = "天地玄黄宇宙洪荒日月盈昃"


@pytest.fixture
def echo_file(tmp_path: Path) -> Path:
    """300 lines of 8 to 14 characters."""
    chance = random.Random(1)
    lines = [chance.choice(CHARACTERS) * chance.randint(8, 14) + "\n" for _ in range(300)]
    path = tmp_path / "echo.txt"
    path.write_text("".join(lines), encoding="utf-8")
    return path
