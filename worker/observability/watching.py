"""Who looks on while the worker runs, as the settings say: nobody, a server for probes and readers, traces, or both."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from kuaixun.worker.addresses import host_and_port
from kuaixun.worker.delivery.promise import CLOSE_SHARE
from kuaixun.worker.errors import DeadLetterLimitError, SettingError
from kuaixun.worker.settings import TraceExport, WorkerSettings
from kuaixun.worker.stop import LOOK_EVERY_SECONDS, Stop

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from kuaixun.worker.observability.observatory import Observatory

LOG = logging.getLogger(__name__)

LAST_LOOK_SECONDS = 20.0  # longer than from one scrape to the next, where that is 15 s


@contextmanager
def watched(settings: WorkerSettings, stop: Stop, stuck_seconds: float) -> Iterator[Observatory | None]:
    """What looks on for as long as the context lasts, as the settings say; None where nothing is asked for.

    Entering raises SettingError.
    """
    if settings.health_address is None and settings.traces is TraceExport.OFF:
        yield None
        return
    # Here, for a worker that nobody looks at starts without them.
    from kuaixun.worker.observability.observatory import Observatory
    from kuaixun.worker.observability.server import HttpServer

    trace_into = None if settings.traces is TraceExport.OFF else _provider()
    observatory = Observatory(settings, stop, stuck_seconds, trace_into)
    with ExitStack() as stack:
        stack.callback(observatory.close)
        if settings.health_address is not None:
            stack.enter_context(HttpServer(*host_and_port(settings.health_address), observatory.routes))
        yield observatory


@contextmanager
def seen_at_the_end(settings: WorkerSettings, stop: Stop) -> Iterator[None]:
    """Where too many dead letters end what is in the context, what tells of it is on show until it has been scraped.

    Everything is committed and the group left by then. A signal ends the wait.
    """
    try:
        yield
    except DeadLetterLimitError:
        seconds = min(LAST_LOOK_SECONDS, stop.seconds_left(CLOSE_SHARE))
        if settings.health_address is not None and seconds and not stop.signals:
            LOG.warning("too many dead letters: metrics and page say so for %.0f s more", seconds)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline and not stop.signals:
                time.sleep(LOOK_EVERY_SECONDS)
        raise


def _provider() -> TracerProvider:
    try:
        from kuaixun.worker.observability.traces import provider
    except ImportError as error:
        raise SettingError(
            f"KUAIXUN_TRACES=otlp needs OpenTelemetry, which is not installed ({error.name}): pip install "
            "'kuaixun[traces]', or set it to off."
        ) from None
    return provider()
