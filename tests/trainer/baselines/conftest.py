"""A split of the toy world."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kuaixun.trainer.data.labelled_texts import DataSplit, read_split


@pytest.fixture
def toy_split(toy_file: Callable[[str, int, int], Path]) -> DataSplit:
    """240, 60 and 60 headlines of two topics."""
    return read_split(toy_file("train.txt", 240, 1), toy_file("dev.txt", 60, 2), toy_file("test.txt", 60, 3))
