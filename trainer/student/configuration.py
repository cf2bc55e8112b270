"""A student's shape and its training as one TOML file, shipped by name or one's own.

`[student]` holds fields of StudentShape, `[student.ngrams]` those of its n-gram branch (no table, no branch),
`[training]` those of FitSettings. What a file leaves out has the default of these types.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from kuaixun.schemas.manifest import DataFile
from kuaixun.trainer.errors import SettingError
from kuaixun.trainer.fitting.settings import FitSettings
from kuaixun.trainer.student.new_student import StudentShape

SHIPPED = Path(__file__).parent / "configurations"
DEFAULT = "default"
SECTIONS = ("student", "training")
T = TypeVar("T", StudentShape, FitSettings)


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a file chooses; `origin` records the file where it is not a shipped one."""

    shape: StudentShape
    fit: FitSettings
    origin: DataFile | None = None


def shipped_configurations() -> tuple[str, ...]:
    """The names that `read_configuration` knows."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.toml")))


def read_configuration(name: str) -> Configuration:
    """A shipped configuration by its name, any other by its file's path. Raises SettingError, naming file and key."""
    shipped = name in shipped_configurations()
    path = SHIPPED / f"{name}.toml" if shipped else Path(name)
    try:
        content = path.read_bytes()
        tree = tomllib.loads(content.decode().removeprefix("\ufeff"))
    except OSError as error:
        raise SettingError(
            f"--configuration {name}: {error.strerror or error}; name a TOML file or one of "
            f"{', '.join(shipped_configurations())}"
        ) from None
    except UnicodeDecodeError as error:
        raise SettingError(f"{path}: byte {error.start} is not UTF-8: {error.reason}; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{path}: not TOML: {error}") from None
    _refuse_unknown(path, "a section", tree, SECTIONS)
    origin = None
    if not shipped:
        sha256 = hashlib.sha256(content).hexdigest()
        origin = DataFile(role="configuration", name=path.name, rows=len(content.splitlines()), sha256=sha256)
    return Configuration(
        _section(path, tree, "student", StudentShape), _section(path, tree, "training", FitSettings), origin
    )


def _section(path: Path, tree: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """One section as its type, which checks it."""
    values = tree.get(name, {})
    if not isinstance(values, dict):
        raise SettingError(f"{path}: {name} is {values!r}; it must be a section, [{name}]")
    _refuse_unknown(path, f"a key of [{name}]", values, tuple(field.name for field in fields(kind)))
    try:
        return msgspec.convert(values, kind)
    except (msgspec.ValidationError, SettingError) as error:
        raise SettingError(f"{path}, [{name}]: {error}") from None


def _refuse_unknown(path: Path, what: str, found: Mapping[str, Any], known: tuple[str, ...]) -> None:
    unknown = [name for name in found if name not in known]
    if unknown:
        raise SettingError(f"{path}: {unknown[0]!r} is not {what}; known are {', '.join(known)}")
