"""Sections that there may be several of, by the names of their stages."""

from __future__ import annotations

import re

from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.pipeline.plan import Plan, Settings

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")


def named_sections(plan: Plan, section: str) -> dict[str, Settings]:
    """The settings of each: `teacher-bert` for name = "bert", else by number. Raises SettingError."""
    found: dict[str, Settings] = {}
    for number, settings in enumerate(plan.all_of(section), start=1):
        name = settings.get("name", str(number))
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise SettingError(f"[{section}] name is {name!r}; it must be of letters a to z, digits, _ and -")
        stage = f"{section}-{name}"
        if stage in found:
            raise SettingError(f"[{section}] name: two are called {name!r}; give each a name of its own")
        found[stage] = {key: value for key, value in settings.items() if key != "name"}
    return found
