"""A toy world of two topics, told apart by the characters of their headlines."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

TOPICS = {"finance": "股市涨跌基金银行利率债券", "sports": "球赛冠军进球教练联盟决赛"}
SHARED = "今日新的大了在中国我们"


@pytest.fixture
def toy_file(tmp_path: Path) -> Callable[[str, int, int], Path]:
    """Writes `texts` separable headlines with the seed given."""

    def write(name: str, texts: int, seed: int) -> Path:
        path = tmp_path / name
        path.write_text(toy_content(texts, seed), encoding="utf-8")
        return path

    return write


def toy_content(texts: int, seed: int) -> str:
    """That many lines, text<TAB>topic."""
    chance = random.Random(seed)
    lines = []
    for _ in range(texts):
        topic = chance.choice(sorted(TOPICS))
        characters = chance.choices(TOPICS[topic], k=chance.randint(2, 6)) + chance.choices(SHARED, k=6)
        chance.shuffle(characters)
        lines.append(f"{''.join(characters)}\t{topic}\n")
    return "".join(lines)
