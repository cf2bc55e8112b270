"""The section [data]: one file that is to be split, or the files of a split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kuaixun.trainer.data.content_hash import sha256_of
from kuaixun.trainer.data.csv_table import is_csv
from kuaixun.trainer.data.labelled_texts import CsvColumns, expect_columns, expect_different_files
from kuaixun.trainer.errors import DataError, SettingError
from kuaixun.trainer.pipeline.plan import Settings, near
from kuaixun.trainer.pipeline.stage import expect_there

COLUMNS = ("text-column", "label-column")
FILES = ("file", "train", "dev", "test", "classes")
OF_ONE_FILE = ("file", "ratios", "seed", "classes", *COLUMNS)
OF_PARTS = ("train", "dev", "test", "classes", *COLUMNS)


@dataclass(frozen=True, slots=True)
class DataParts:
    """Where train, dev, test and the class names lie; `columns` are the options that name a table's columns.

    `reads` is the stage that splits, where one does.
    """

    train: Path
    dev: Path
    test: Path | None
    classes: Path | None
    columns: dict[str, tuple[str, ...]]
    reads: tuple[str, ...] = ()

    def wired(self, *roles: str, classes: bool = True) -> dict[str, tuple[str, ...]]:
        """The options that name these parts, those that there are, and the classes."""
        paths = {role: getattr(self, role) for role in (*roles, *(["classes"] if classes else []))}
        return {name: (f"--{name}={path}",) for name, path in paths.items() if path}


def data_settings(data: Settings) -> dict[str, str | int]:
    """The section's settings by name with dashes. Raises SettingError for what cannot be."""
    settings: dict[str, str | int] = {}
    for key, value in data.items():
        name, every = key.replace("_", "-"), dict.fromkeys((*OF_ONE_FILE, *OF_PARTS))
        if name not in every:
            raise SettingError(f"[data] {key}: there is no such setting{near(name, every)}")
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise SettingError(f"[data] {key} is {value!r}; it must be a text" + " or a number" * (name == "seed"))
        settings[name] = value
    if ("file" in settings) == ("train" in settings):
        raise SettingError("[data] needs either file, one labelled file to be split, or train and dev, and test")
    known = OF_ONE_FILE if "file" in settings else OF_PARTS
    for name in settings:
        if name not in known:
            raise SettingError(f"[data] {name} does not go with {known[0]}; take one of them out")
    if "train" in settings and "dev" not in settings:
        raise SettingError("[data] dev: is missing; name it, or let the run cut it: file in place of train")
    return settings


def parts_of(settings: dict[str, str | int], folder: Path, split: Path, split_stage: str) -> DataParts:
    """Where the parts lie, or will lie once they are cut into the folder `split`.

    Raises SettingError for a file that is not there, a table without the columns, one column for both, and a file that
    has two roles.
    """
    for name in FILES:
        if name in settings:
            expect_there("data", name, folder / str(settings[name]))
    named = {name.replace("-column", ""): str(settings[name]) for name in COLUMNS if name in settings}
    for role in ("file", "train", "dev", "test"):
        if role in settings:
            try:
                expect_columns(folder / str(settings[role]), CsvColumns(**named))
            except (DataError, SettingError) as error:
                raise SettingError(f"[data] {error}") from None
    columns: dict[str, tuple[str, ...]] = {
        name: (f"--{name}={settings[name]}",) for name in COLUMNS if name in settings
    }
    if "file" in settings:
        suffix = ".csv" if is_csv(Path(str(settings["file"]))) else ".txt"
        train, dev, test = (split / f"{role}{suffix}" for role in ("train", "dev", "test"))
        return DataParts(train, dev, test, split / "class.txt", columns, (split_stage,))

    found = {role: folder / str(settings[role]) for role in ("train", "dev", "test") if role in settings}
    try:
        expect_different_files({role: (path, sha256_of(path)) for role, path in found.items()})
    except DataError as error:
        raise SettingError(f"[data] {error}") from None
    classes = folder / str(settings["classes"]) if "classes" in settings else None
    return DataParts(found["train"], found["dev"], found.get("test"), classes, columns)
