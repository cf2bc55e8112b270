"""The TOML file of a run: its sections, read and checked by name. What a section's keys may be, the commands say."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from kuaixun.trainer.errors import SettingError

Settings = Mapping[str, object]
NO_SETTINGS: Settings = MappingProxyType({})
ONE = ("data", "analyse", "pretrain", "words", "vary", "distil", "export", "prune", "evaluate", "report")
SEVERAL = ("baseline", "teacher", "network", "student", "blend")
WITHOUT = "without"
# The others feed on one another; these nothing reads, or the report can do without.
DISPENSABLE = ("baseline", "evaluate", "report")


@dataclass(frozen=True, slots=True)
class Plan:
    """What the file says: the settings of each section in the file's words, a tuple of them for each of SEVERAL.

    Relative paths in it are relative to the file's folder.
    """

    path: Path
    sections: Mapping[str, tuple[Settings, ...]]
    without: frozenset[str]

    @property
    def folder(self) -> Path:
        """Where relative paths begin."""
        return self.path.resolve().parent

    def of(self, section: str) -> Settings:
        """The settings of a section that there is once; nothing where the file leaves it out."""
        return self.sections[section][0] if section in self.sections else NO_SETTINGS

    def all_of(self, section: str) -> tuple[Settings, ...]:
        """The settings of each section of that name."""
        return self.sections.get(section, ())

    def has(self, section: str) -> bool:
        """Whether the file has such a section."""
        return section in self.sections


def read_plan(path: Path) -> Plan:
    """Read a run's file. Raises SettingError naming the file and what in it cannot be."""
    try:
        tree = tomllib.loads(path.read_bytes().decode().removeprefix("\ufeff"))
    except OSError as error:
        raise SettingError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise SettingError(f"{path}: byte {error.start} is not UTF-8: {error.reason}; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{path}: not TOML: {error}") from None
    without = _without(path, tree.pop(WITHOUT, []))
    known = (*ONE, *SEVERAL)
    for name in tree:
        if name not in known:
            raise SettingError(f"{path}: there is no section [{name}]{near(name, known)}")
    if "data" not in tree:
        raise SettingError(f'{path}: has no section [data]; begin with [data] and file = "labelled.csv"')
    return Plan(path, {name: _tables(path, name, value) for name, value in tree.items()}, without)


def near(name: str, known: Iterable[str]) -> str:
    """The end of a refusal: what was meant, most likely, or all that there is."""
    known = tuple(known)
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else f"; there are {', '.join(known)}"


def _tables(path: Path, name: str, value: object) -> tuple[Settings, ...]:
    if isinstance(value, dict):
        return (value,)
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):
        if name in SEVERAL:
            return tuple(value)
        raise SettingError(f"{path}: there can be one [{name}]; write it with single brackets, once")
    raise SettingError(f"{path}: {name} is {value!r}; it must be a section, [{name}]")


def _without(path: Path, value: object) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise SettingError(f'{path}: without is {value!r}; it must be a list of stages, as in ["report"]')
    for name in value:
        if name not in DISPENSABLE:
            raise SettingError(f"{path}: without {name!r} there is no run{near(name, DISPENSABLE)}")
    return frozenset(value)
