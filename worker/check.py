"""`kuaixun-worker check`: everything that `run` needs, looked at without consuming a headline."""

from __future__ import annotations

from kuaixun.worker.kafka.transactional_sink import KafkaTransactionalSink
from kuaixun.worker.opening import Opening
from kuaixun.worker.service import Station, open_station
from kuaixun.worker.settings import WorkerSettings


def check(settings: WorkerSettings, opening: Opening | None = None) -> None:
    """Print a line for everything found right. Raises the WorkerError of the first thing that is not.

    Of the settings' bundle `opening` may have begun.
    """

    def say(what: str, found: str) -> None:
        print(f"{what:<10}{found}", flush=True)

    station = open_station(settings, say, opening=opening)
    try:
        say("delivery", _of_the_delivery(settings, station))
    finally:
        station.close(settings.shutdown_budget_seconds)
    print("ready")


def _of_the_delivery(settings: WorkerSettings, station: Station) -> str:
    """What the guarantee rests on. Raises WorkerErrors where the brokers do not grant it."""
    if not isinstance(station.sink, KafkaTransactionalSink):
        return f"{settings.delivery}, offsets committed every {settings.commit_interval_seconds:g} s"
    promise = (
        f"{settings.delivery}, transactions of {settings.transaction_interval_ms:g} ms, ended by the brokers after "
        f"{settings.transaction_timeout_seconds:g} s; readers need isolation.level=read_committed; needs Write and "
        "Describe on "
    )
    if settings.transactional_id is not None:
        # Asking for it would end what a worker that runs under it has open.
        return f"{promise}the transactional id {settings.transactional_id}, which only run tries"
    station.sink.renew(settings.connect_seconds)
    return f"{promise}transactional ids that begin with {settings.group_id}-, one of which was granted"
