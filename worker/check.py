"""`kuaixun-worker check`: everything that `run` needs, looked at without consuming a headline."""

from __future__ import annotations

from kuaixun.worker.service import open_station
from kuaixun.worker.settings import WorkerSettings


def check(settings: WorkerSettings) -> None:
    """Print a line for everything found right. Raises the WorkerError of the first thing that is not."""

    def say(what: str, found: str) -> None:
        print(f"{what:<10}{found}", flush=True)

    station = open_station(settings, say)
    station.close(settings.shutdown_budget_seconds)
    print("ready")
