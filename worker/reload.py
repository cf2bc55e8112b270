"""Another model while the worker runs: opened and verified in the background, taken up between two batches.

It joins the headline's journey where texts become predictions. A bundle that may not serve leaves the old one at work;
each event says by its model's id which one labelled it.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TypeAlias

from kuaixun.worker.delivery.promise import CLOSE_SHARE
from kuaixun.worker.errors import BundleRefusedError, WorkerError
from kuaixun.worker.labels import Labels
from kuaixun.worker.stop import Stop

LOG = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 1.0
END_SECONDS = 60.0  # longer than to open a bundle takes on a busy machine
STANDARD_INPUT = 0
WATCHER = "bundle-reload"

_Files: TypeAlias = dict[str, tuple[int, int, int]]


@dataclass(slots=True)
class Reloads:
    """How a reload is asked for, and what has come of them so far.

    `refusal` is why the bundle that was named last does not serve, None where it does.
    """

    requested: bool = False
    taken_up: int = 0
    refused: int = 0
    refusal: str | None = None

    def request(self) -> None:
        """Ask for one. Takes no lock, so it is safe in a signal handler."""
        self.requested = True


class Succession:
    """Which model follows which. `path` may be a link, and `folder` is what it named when `serving` was opened.

    A bundle follows when the path names another folder, as when a link is turned, or when asked for; one that was
    refused also when its files have changed since, as when its copying was not done, and keep still again. Its labels
    may be more than those before, but none may stand under another id, not even after a detour over fewer labels,
    unless `changed_labels_allowed`.
    """

    def __init__(
        self,
        serving: Labels,
        path: Path,
        folder: Path,
        open_bundle: Callable[[], Labels],
        reloads: Reloads,
        *,
        changed_labels_allowed: bool = False,
    ) -> None:
        self._serving, self._path, self._named = serving, path.absolute(), str(folder)
        self._open_bundle, self._reloads = open_bundle, reloads
        self._changed_labels_allowed = changed_labels_allowed
        self._known_labels = serving.labels
        self._next: Labels | None = None
        self._refused_files: _Files | None = None
        self._files_seen: _Files | None = None
        self._lock = threading.Lock()

    def successor(self) -> Labels | None:
        """The model to label with from here on, None where it stays the same. For the loop, between two batches."""
        with self._lock:
            found, self._next = self._next, None
        if found is None:
            return None
        if found.model_id == self._serving.model_id:
            LOG.info("model %s serves already", self._serving.model_id)
            return None
        LOG.info("model %s takes over from %s", found.model_id, self._serving.model_id, extra={"model": found.model_id})
        self._serving = found
        self._reloads.taken_up += 1
        return found

    def look(self) -> None:
        """Open and verify what the path names, if it is news. Blocks; for the background. Raises nothing."""
        named = os.path.realpath(self._path)
        if named == self._named and not self._reloads.requested and not self._mended():
            return
        self._reloads.requested, self._named = False, named
        LOG.info("opening the bundle %s", named, extra={"bundle": named})
        files, self._refused_files = _files_of(Path(named)), None
        try:
            found = self._open_bundle()
            self._check_labels(found)
        except Exception as error:
            self._reloads.refused += 1
            self._reloads.refusal = str(error)
            self._refused_files = self._files_seen = files
            LOG.error(  # noqa: TRY400 - a WorkerError says all there is to say
                "bundle refused, model %s serves on: %s",
                *(self._serving.model_id, error),
                exc_info=not isinstance(error, WorkerError),
                extra={"model": self._serving.model_id, "bundle": named},
            )
            return
        self._reloads.refusal = None
        self._known_labels = max(found.labels, self._known_labels, key=len)
        with self._lock:
            self._next = found

    @contextmanager
    def watching(self, stop: Stop) -> Iterator[None]:
        """Look again and again, in a thread, for as long as the context lasts.

        A bundle that is being opened by then is waited for, but not past what a shutdown leaves.
        """
        done = threading.Event()

        def watch() -> None:
            while not done.wait(LOOK_EVERY_SECONDS):
                self.look()

        watcher = threading.Thread(target=watch, name=WATCHER, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join(min(END_SECONDS, stop.seconds_left(CLOSE_SHARE)))

    def _mended(self) -> bool:
        """Whether the files of a bundle that was refused are others by now, and the same as at the last look."""
        if self._refused_files is None:
            return False
        before, self._files_seen = self._files_seen, _files_of(Path(self._named))
        return self._files_seen == before != self._refused_files

    def _check_labels(self, found: Labels) -> None:
        """Raise BundleRefusedError where a label's id means something else than it did."""
        if self._changed_labels_allowed:
            self._known_labels = found.labels
            return
        for number, (before, now) in enumerate(zip(self._known_labels, found.labels, strict=False)):
            if before != now:
                raise BundleRefusedError(
                    f"{self._named} calls label {number} {now!r}, which was {before!r} until now. Labels may be added "
                    "behind the others; whoever counts on the old ones would be misled. Where that is meant, set "
                    "KUAIXUN_CHANGED_LABELS_ALLOWED to true, or restart the worker."
                )


def _files_of(folder: Path) -> _Files:
    """What tells a folder's files from others: names, sizes, and when each was written."""
    try:
        return {
            entry.name: (status.st_size, status.st_mtime_ns, status.st_ino)
            for entry in os.scandir(folder)
            for status in [entry.stat()]
        }
    except OSError:
        return {}


@contextmanager
def reload_on_hangup(reloads: Reloads, stop: Stop, terminal: int = STANDARD_INPUT) -> Iterator[None]:
    """SIGHUP asks for a reload for as long as the context lasts, or for a stop where the terminal itself has gone.

    For the main thread only.
    """
    had_terminal = os.isatty(terminal)

    def handle(_signal: int, _frame: FrameType | None) -> None:
        if had_terminal and not os.isatty(terminal):
            stop.request()
        else:
            reloads.request()

    before = signal.signal(signal.SIGHUP, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
