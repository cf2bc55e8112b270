"""The worker within the demo, as `kuaixun-worker run` runs it, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from kuaixun.worker.labels import Labels
from kuaixun.worker.observability.observatory import Observatory
from kuaixun.worker.outcomes import Outcome
from kuaixun.worker.records import Record
from kuaixun.worker.service import run_worker
from kuaixun.worker.settings import WorkerSettings
from kuaixun.worker.stop import Stop


class WorkerThread:
    """A worker that starts and leaves on request. `error` is what ended it, None where it left as asked.

    `consumed` counts the records that it has taken all the way, whatever became of them; the `observatory` shows it.
    """

    def __init__(self, settings: WorkerSettings, classifier: Labels) -> None:
        self.error: BaseException | None = None
        self.consumed = 0
        self._settings, self._classifier = settings, classifier
        self._stop = Stop(settings.shutdown_budget_seconds)
        self.observatory = Observatory(settings, self._stop, settings.longest_turn_seconds)
        # A daemon, so that a client that never comes back from C cannot keep the process.
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start it; once."""
        self._thread.start()

    def leave(self) -> None:
        """Ask it to finish, commit and leave, and wait until it has. May be called twice, and before `start`."""
        self._stop.request()
        if self._thread.ident is not None:
            self._thread.join(self._stop.budget_seconds)

    def _run(self) -> None:
        try:
            run_worker(
                self._settings,
                self._stop,
                classifier=self._classifier,
                observer=self._observe,
                witness=self.observatory,
            )
        except BaseException as error:
            self.error = error

    def _observe(self, records: Sequence[Record], _outcomes: Sequence[Outcome]) -> None:
        self.consumed += len(records)
