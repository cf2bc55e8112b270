"""A folder of bundles, one of which serves: the link `current` names it, the others stay.

    bundles/current -> 3f2a…   what a worker opens
    bundles/3f2a…, 91bc…       bundles by model id, or by whatever name the first one was given
    bundles/91bc….json         why that one was promoted or not; 91bc….1.json, .2.json: the same of earlier contests
    bundles/.interrupted       the checkpoint of the last training that ended early, which no worker opens

The link is replaced in one step: whoever opens it finds the old bundle or the new one, whole, and never none.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kuaixun.export.bundle.checked_file import read_limited
from kuaixun.export.bundle.file_names import MANIFEST_FILE
from kuaixun.export.bundle.reader import Bundle, open_bundle
from kuaixun.export.bundle.signature import SIGNATURE_FILE, SIGNATURE_FILE_LIMIT_BYTES
from kuaixun.export.durable_file import failing_as, flush, flush_all
from kuaixun.export.errors import BundleError
from kuaixun.trainer.errors import SettingError

CURRENT = "current"
LOCK_FILE = ".lock"
NEXT_LINK = ".current.next"
UNFINISHED = ".retraining-"
INTERRUPTED = ".interrupted"


@dataclass(frozen=True, slots=True)
class BundleFolder:
    """The folder of bundles at `path`."""

    path: Path

    @property
    def champion(self) -> Path:
        """The bundle that `current` names. Raises SettingError where there is no such link."""
        link = self.path / CURRENT
        if not link.is_symlink():
            found = "is no link" if link.exists() else "does not exist"
            raise SettingError(
                f"--bundles: {link} {found}; put the bundle that serves into {self.path} and name it: "
                f"ln -s BUNDLE {link}"
            )
        target = Path(os.path.realpath(link))  # in a circle of links it is one of them, and no folder
        if target.parent != Path(os.path.realpath(self.path)) or not target.is_dir():
            raise SettingError(f"--bundles: {link} names {target}, which is no folder in {self.path}; correct the link")
        return target

    @contextmanager
    def locked(self) -> Iterator[None]:
        """The folder for this process alone. Raises SettingError where another has it.

        So does one that is no folder of bundles, and nothing is left there.
        """
        if not self.path.is_dir():
            raise SettingError(f"--bundles: {self.path} is no folder; name the one that holds the bundles")
        _ = self.champion
        with (self.path / LOCK_FILE).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SettingError(f"--bundles: another retraining is at work in {self.path}; wait for it") from None
            for left in self.path.glob(f"{UNFINISHED}*"):  # of a run that was killed
                shutil.rmtree(left, ignore_errors=True)
            yield

    @contextmanager
    def workshop(self) -> Iterator[Path]:
        """A place on the same disk for what is not finished; gone in the end. An OSError names the bundles' folder."""
        with failing_as(self.path), tempfile.TemporaryDirectory(dir=self.path, prefix=UNFINISHED) as name:
            yield Path(name)

    @staticmethod
    def copy(bundle: Bundle, place: Path) -> None:
        """The files that a bundle consists of, and its maker's signature, as a new folder. Raises BundleError."""
        place.mkdir()
        for name in bundle.manifest.files:
            (place / name).write_bytes(bundle.read_file(name))
        (place / MANIFEST_FILE).write_bytes(bundle.manifest_content)
        if os.path.lexists(bundle.path / SIGNATURE_FILE):
            signature = read_limited(bundle.path, SIGNATURE_FILE, SIGNATURE_FILE_LIMIT_BYTES)
            (place / SIGNATURE_FILE).write_bytes(signature)

    def add(self, bundle: Path, name: str) -> Path:
        """Move a whole bundle in under its model id, safe from a power cut.

        Ids are hashes of contents: one that is there already, as after a crash, is the same bundle if it is whole.
        Else it gives way.
        """
        place = self.path / name
        if _is_whole(place, name):
            return place
        flush_all(bundle)
        with tempfile.TemporaryDirectory(dir=self.path, prefix=UNFINISHED) as damaged:
            if os.path.lexists(place):
                place.rename(Path(damaged) / name)
            bundle.rename(place)
        flush(self.path)
        return place

    def set_aside(self, checkpoint: Path) -> Path:
        """Keep what a training that was interrupted came to, in place of that of an earlier one; where it lies."""
        place = self.path / INTERRUPTED
        if os.path.lexists(place):
            shutil.rmtree(place)
        checkpoint.rename(place)
        flush(self.path)
        return place

    def promote(self, name: str) -> None:
        """Let `current` name another bundle of the folder, at once."""
        link = self.path / NEXT_LINK
        link.unlink(missing_ok=True)
        link.symlink_to(name)
        link.replace(self.path / CURRENT)
        flush(self.path)


def _is_whole(place: Path, name: str) -> bool:
    """Whether that bundle lies there, every file as its manifest says."""
    try:
        return open_bundle(place).manifest.model_id == name
    except BundleError:
        return False
