"""Opening the settings' bundle while modules are imported and brokers asked. Before a headline's journey."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from kuaixun.export import Classifier, ExportError, open_classifier
from kuaixun.worker.errors import from_export
from kuaixun.worker.settings import WorkerSettings


class Opening:
    """One bundle, opened in a thread of its own from here on."""

    def __init__(self, settings: WorkerSettings) -> None:
        thread = ThreadPoolExecutor(1, thread_name_prefix="open-bundle")
        self._opened: Future[Classifier] | None = thread.submit(open_settings_classifier, settings)
        thread.shutdown(wait=False)  # once it is open

    def looking_too(self, look: Callable[[], None]) -> Callable[[], None]:
        """A look between waits that raises what `look` raises, and the bundle's own error as soon as there is one."""

        def both() -> None:
            look()
            if self._opened is not None and self._opened.done():
                self._opened.result()

        return both

    def result(self) -> Classifier:
        """The bundle, open; waits for it. Raises WorkerErrors. Once, for nothing of it is kept here."""
        opened, self._opened = self._opened, None
        if opened is None:
            raise AssertionError("a bundle is taken once")
        return opened.result()


def open_settings_classifier(settings: WorkerSettings) -> Classifier:
    """The classifier that the settings name, verified by its package. Raises WorkerErrors."""
    try:
        return open_classifier(
            settings.bundle,
            engine=settings.engine,
            device=settings.device,
            precision=settings.precision,
            threads=settings.threads,
            public_key=settings.bundle_public_key,
        )
    except ExportError as error:
        raise from_export(error) from error
