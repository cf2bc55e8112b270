"""docs/reliability.md leaves none of its rows without a test, and names none that is not there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reliability.md"


def rows() -> list[list[str]]:
    """Number, failure, behaviour, setting and test of each row."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if re.match(r"\| \d", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_rows_are_numbered_without_a_gap_and_whole() -> None:
    numbers = [int(row[0]) for row in rows()]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(1, max(numbers) + 1))
    assert all(len(row) == 5 for row in rows())


def test_every_row_names_a_test_that_is_there() -> None:
    files = (ROOT / "tests").rglob("test_*.py")
    there = {name for path in files for name in re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)}
    for number, failure, *_, tests in rows():
        named = re.findall(r"`(test_\w+)`", tests)
        pages = re.findall(r"`(tests/[\w/]+\.py)`", tests)
        assert named or pages, (number, failure)
        assert set(named) <= there, (number, set(named) - there)
        assert all((ROOT / page).is_file() for page in pages), (number, pages)
