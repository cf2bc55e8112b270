"""The unit that ships, as systemd reads it."""

from __future__ import annotations

import configparser
from pathlib import Path

UNIT = Path(__file__).resolve().parents[2] / "deploy" / "systemd" / "kuaixun-worker@.service"


def worker_unit() -> configparser.ConfigParser:
    """Its sections; of a key that it gives more than once the last one, `values` has them all."""
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # keys of a unit are case-sensitive
    unit.read_string(UNIT.read_text(encoding="utf-8"))
    return unit


def values(section: str, key: str) -> list[str]:
    """What the unit gives for a key, each time it does."""
    text = UNIT.read_text(encoding="utf-8").partition(f"[{section}]\n")[2].partition("\n[")[0]
    return [line.partition("=")[2] for line in text.splitlines() if line.partition("=")[0] == key]
