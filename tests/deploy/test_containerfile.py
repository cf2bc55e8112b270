"""The image holds what a worker in it may be asked for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_image_can_check_a_bundle_s_signature() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    installed = re.findall(r"'\.\[([\w,]+)\]'", (ROOT / "deploy" / "Containerfile").read_text(encoding="utf-8"))
    assert len(installed) == 1
    brought = [requirement for extra in installed[0].split(",") for requirement in extras[extra]]
    assert {"confluent-kafka", "cryptography"} <= {re.split("[^a-z-]", requirement)[0] for requirement in brought}
