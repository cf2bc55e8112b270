"""What is recorded of any model that was fitted to labels to teach others, whatever it is made of."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from kuaixun.schemas.manifest import Label, Training
from kuaixun.trainer.data.content_hash import sha256_of_texts
from kuaixun.trainer.data.labelled_texts import DataSplit
from kuaixun.trainer.errors import SettingError


class TaughtRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Of a teacher or a network, all but its numbers and its own settings.

    `metrics` maps a data role to named figures; `best_step` is the step whose weights were kept; `texts_sha256` is that
    of the training texts, all folds of them, `rows_sha256` that of what it was fitted to (see `sha256_of_rows`); `fold`
    and `folds` are 0 where it learnt from all rows.
    """

    labels: Annotated[tuple[Label, ...], msgspec.Meta(min_length=2)]
    metrics: dict[str, dict[str, float]]
    best_step: int
    training: Training
    texts_sha256: str
    rows_sha256: str = ""
    fold: int = 0
    folds: int = 0


def sha256_of_rows(split: DataSplit) -> str:
    """The SHA-256 of the texts and label ids of train and dev: a file whose other columns are read is another one."""
    together = hashlib.sha256()
    for data in (split.train, split.dev):
        together.update(sha256_of_texts(data.texts).encode())
        together.update(sha256_of_texts(map(str, data.label_ids.tolist())).encode())
    return together.hexdigest()


Record = TypeVar("Record", bound=TaughtRecord)


def taught_to_file(record: TaughtRecord) -> bytes:
    """The record as JSON for people to read."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def read_taught(path: Path, kind: type[Record], command: str) -> Record:
    """The record that a command, `teacher` or `network`, wrote. Raises SettingError for any other file."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        reason = error.strerror or error
        raise SettingError(
            f"{path}: cannot be read: {reason}; name a folder that the {command} command wrote"
        ) from None
    except (msgspec.DecodeError, SettingError) as error:
        raise SettingError(f"{path}: no record of a {command}: {error}") from None
