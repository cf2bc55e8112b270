"""Bundles for tests: the one that ships and others made of it, behind a link that is turned as a promotion turns it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from kuaixun.export.bundle.file_names import WEIGHTS_FILE
from kuaixun.export.bundle.reader import default_bundle_path, read_manifest
from tests.export.hostile_bundles import rewrite


def copied_bundle(folder: Path) -> str:
    """The bundle that ships, somewhere else; its model id."""
    shutil.copytree(default_bundle_path(), folder)
    return read_manifest(folder).model_id


def renamed_bundle(folder: Path, labels: Sequence[str]) -> str:
    """The same numbers under other labels: a model of its own; its id."""
    copied_bundle(folder)
    rewrite(folder, labels=list(labels))
    return read_manifest(folder).model_id


def damaged_bundle(folder: Path) -> None:
    """One that may not serve: a byte of its weights is another."""
    copied_bundle(folder)
    content = bytearray((folder / WEIGHTS_FILE).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS_FILE).write_bytes(content)


def turn(link: Path, folder: Path) -> None:
    """Let a link name another folder, in one step."""
    aside = link.with_name(f".{link.name}.next")
    aside.symlink_to(folder)
    aside.replace(link)
