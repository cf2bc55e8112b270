"""The unit that ships, as systemd reads it."""

from __future__ import annotations

import configparser
from pathlib import Path

UNIT = Path(__file__).resolve().parents[2] / "deploy" / "systemd" / "kuaixun-worker@.service"


def worker_unit() -> configparser.ConfigParser:
    """Its sections; a key that it gives more than once is not among what the tests look at."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # keys of a unit are case-sensitive
    unit.read_string(UNIT.read_text(encoding="utf-8"))
    return unit
