"""Workers for tests: one in a thread of this process, one as a process of its own.

`python -m tests.worker.running FLAGS` is the real command line with a fake classifier in the bundle's place, which
holds a batch until a signal comes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from unittest import mock

from kuaixun.export import Predictions
from kuaixun.worker import cli, service
from kuaixun.worker.delivery.promise import Counts, Observer
from kuaixun.worker.labels import Labels
from kuaixun.worker.reload import Reloads
from kuaixun.worker.replay import run as replay
from kuaixun.worker.replay.selection import Request, Selection
from kuaixun.worker.settings import WorkerSettings
from kuaixun.worker.stop import Stop
from kuaixun.worker.witness import Witness
from tests.worker.fake_classifier import FakeClassifier
from tests.worker.topics import PATIENCE_SECONDS, Topics


class Running:
    """What runs in a thread; `error` is set once it has ended badly."""

    def __init__(self, run: Callable[[], object]) -> None:
        self.error: BaseException | None = None

        def noted() -> None:
            try:
                run()
            except BaseException as error:
                self.error = error

        # One that hangs fails its own test, and not all that follow by staying on.
        self._thread = threading.Thread(target=noted, name="worker", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def wait(self) -> None:
        """Wait until it ends by itself."""
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive(), "it does not end"


class RunningReplay(Running):
    """A replay of all dead letters, which labels with a fake."""

    def __init__(self, settings: WorkerSettings) -> None:
        stop = Stop(settings.shutdown_budget_seconds)
        super().__init__(lambda: replay.run_replay(settings, Request(Selection()), stop, FakeClassifier()))


class RunningWorker(Running):
    """A worker; `counts` are set once it has ended.

    It labels with a fake, or with the bundle that the settings name.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        observer: Observer | None = None,
        classifier: Labels | None = None,
        reloads: Reloads | None = None,
        witness: Callable[[Stop], Witness] | None = None,
    ) -> None:
        self.stop = Stop(settings.shutdown_budget_seconds)
        self.counts = Counts()
        self._settings, self._observer, self._reloads = settings, observer, reloads
        self._witness = witness(self.stop) if witness is not None else None
        self._classifier = classifier or (None if settings.bundle else FakeClassifier())
        super().__init__(self._run)

    def _run(self) -> None:
        self.counts = service.run_worker(
            self._settings,
            self.stop,
            classifier=self._classifier,
            observer=self._observer,
            reloads=self._reloads,
            witness=self._witness,
        )


@contextmanager
def running_worker(
    settings: WorkerSettings,
    observer: Observer | None = None,
    classifier: Labels | None = None,
    reloads: Reloads | None = None,
    witness: Callable[[Stop], Witness] | None = None,
) -> Iterator[RunningWorker]:
    """A worker for as long as the context lasts; an error of its own is raised at the end."""
    worker = RunningWorker(settings, observer, classifier, reloads, witness)
    try:
        yield worker
    finally:
        worker.stop.request()
        worker.wait()
    if worker.error is not None:
        raise worker.error


@contextmanager
def worker_process(topics: Topics, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    """`kuaixun-worker run` in a process of its own, once it holds partitions; ended by SIGTERM."""
    command = [sys.executable, "-m", "kuaixun.worker.cli", "run", *topics.flags(), *flags]
    with subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            while f"assigned {topics.input}".encode() not in (line := process.stderr.readline()):
                assert line, "the worker ended before it held a partition"
            yield process
            process.terminate()
            process.communicate(timeout=PATIENCE_SECONDS)
            assert process.returncode == 0
        finally:
            process.kill()


HELD_AFTER = 120  # titles, which are two batches of those who ask for 60


class HeldClassifier(FakeClassifier):
    """Holds what comes after so many titles until a signal has come: the process is told to stop with work in hand."""

    def __init__(self) -> None:
        super().__init__()
        self.stops: list[Stop] = []

    def make_stop(self, budget_seconds: float) -> Stop:
        """The worker's Stop, and this classifier's to look at."""
        self.stops.append(Stop(budget_seconds))
        return self.stops[-1]

    def classify(self, texts: Sequence[str]) -> Predictions:
        while sum(self.calls) >= HELD_AFTER and not self.stops[-1].requested:
            time.sleep(0.01)
        return super().classify(texts)


if __name__ == "__main__":
    held = HeldClassifier()
    with (
        mock.patch.object(service, "run_worker", partial(service.run_worker, classifier=held)),
        mock.patch.object(replay, "open_settings_classifier", return_value=held),
        mock.patch("kuaixun.worker.stop.Stop", held.make_stop),
    ):
        cli.leave()
