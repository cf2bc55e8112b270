"""Who looks at a worker while it is measured: a page that is open, and Prometheus."""

from __future__ import annotations

import re
import threading
import urllib.request
from http.client import HTTPException
from types import TracebackType
from typing import Self

from tests.benchmarks.stream.progress import DrainError
from tests.benchmarks.worker.processes import PATIENCE_SECONDS, Process

PAGE_EVERY_SECONDS = 1.0  # as the page's script does
SCRAPE_EVERY_PAGES = 5
ANSWERING = re.compile(r"answering on (http://[^\s/\"]+)")


class Visitor:
    """Asks a worker for what its page shows once a second, and for its metrics every five, while entered.

    `visits` counts what was answered. A worker that does not answer is a failure of the measurement, which `raise_any`
    raises.
    """

    def __init__(self, process: Process) -> None:
        self.visits = 0
        self._process = process
        self._error: Exception | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._visit, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def raise_any(self) -> None:
        """Raises DrainError where nobody answered, be it once."""
        if self._error is not None or not self.visits:
            raise DrainError(f"the watched worker did not answer: {self._error}") from self._error

    def _visit(self) -> None:
        try:
            url = self._url()
            while not self._over.is_set():
                self._ask(f"{url}/state.json")
                if self.visits % SCRAPE_EVERY_PAGES == 0:
                    self._ask(f"{url}/metrics")
                self.visits += 1
                self._over.wait(PAGE_EVERY_SECONDS)
        except (OSError, RuntimeError, HTTPException) as error:
            self._error = error

    def _url(self) -> str:
        while not self._over.is_set():
            for line in list(self._process.said):
                if found := ANSWERING.search(line):
                    return found[1]
            self._over.wait(0.05)
        raise RuntimeError("it named no address")

    def _ask(self, url: str) -> None:
        with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - a worker of ours named it
            answer.read()
