"""One run under one guarantee: everything is sent while the faults strike, and read until nothing more comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from kuaixun.worker.delivery.promise import Guarantee
from kuaixun.worker.kafka.membership import GroupProtocol
from tests.chaos.account import Account
from tests.chaos.inputs import PARTITIONS, Inputs
from tests.chaos.models import Models
from tests.chaos.schedule import Fault
from tests.chaos.stage import GROUP, POLL_SECONDS, SESSION_SECONDS, Progress, Stage
from tests.chaos.strike import Strike
from tests.chaos.topics import DEAD_LETTERS, EVENTS, RAW
from tests.chaos.windows import Attribution, Window, attributed
from tests.chaos.workers import Worker
from tests.kafka_broker import create_topic
from tests.proxied_broker import ProxiedBroker

OUTAGE_SECONDS, TRANSACTION_SECONDS = 30, 10
# How often the broker ends transactions whose time is over. Those of named workers need it not, and it is not to happen
# while the broker starts, which may take 30 s on a busy machine: see ProxiedBroker.markers_skipped.
NAMELESS_SECONDS, NAMED_SECONDS = 10, 60


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to happen."""

    guarantee: Guarantee
    protocol: GroupProtocol
    inputs: int
    rate: float
    workers: int
    nameless: bool
    faults: Sequence[Fault]


@dataclass(slots=True)
class Found:
    """What came of it, with the exit codes of the workers' processes."""

    account: Account
    strikes: list[Strike] = field(default_factory=list)
    attribution: Attribution = field(default_factory=Attribution)
    markers_skipped_by_the_broker: int = 0
    ended_alone: list[int] = field(default_factory=list)
    ended_in_order: list[int] = field(default_factory=list)
    ended_cut_off: list[int] = field(default_factory=list)

    @property
    def windows(self) -> list[Window]:
        """What the faults that struck excuse."""
        return [strike.window for strike in self.strikes if strike.window is not None]


def run(plan: Plan, jars: Path, inputs: Inputs, models: Models, logs: Path, progress: Progress) -> Found:
    """Run a plan on a broker of its own. Raises BrokerFailedError and InputRefusedError."""
    with ExitStack() as stack:
        broker = stack.enter_context(
            ProxiedBroker(jars, plan.workers + 1, NAMELESS_SECONDS if plan.nameless else NAMED_SECONDS)
        )
        for topic in (RAW, EVENTS, DEAD_LETTERS):
            create_topic(broker.bootstrap, topic, PARTITIONS)
        doors = [stack.enter_context(broker.door(number)) for number in range(plan.workers + 1)]
        crew = [
            Worker(number, door, {**_settings(plan, models.link), **_name(plan, number)}, logs)
            for number, door in enumerate(doors)
        ]
        found = Found(Account(plan.inputs, inputs.expected, models.label))
        stage = Stage(plan.faults, plan.inputs, plan.rate, broker, crew, models, found.account, progress, inputs)
        with stage:
            try:
                stage.play(plan.workers)
            finally:
                stage.clear()
            stage.read_to_the_end()
        found.strikes = stage.strikes
        found.attribution = attributed(found.account.repeats, found.windows)
        found.markers_skipped_by_the_broker = broker.markers_skipped
        for worker in crew:
            found.ended_alone += worker.ended_alone
            found.ended_in_order += worker.ended_in_order
            found.ended_cut_off += worker.ended_cut_off
        return found


def _settings(plan: Plan, bundle: Path) -> dict[str, str]:
    """The workers' own limits, so low that what exceeds them does so within the run."""
    settings = {
        "KUAIXUN_DELIVERY": plan.guarantee.value,
        "KUAIXUN_GROUP_ID": GROUP,
        "KUAIXUN_GROUP_PROTOCOL": plan.protocol.value,
        "KUAIXUN_BUNDLE": str(bundle),
        "KUAIXUN_CHANGED_LABELS_ALLOWED": "true",
        "KUAIXUN_OUTAGE_SECONDS": str(OUTAGE_SECONDS),
        "KUAIXUN_TRANSACTION_TIMEOUT_SECONDS": str(TRANSACTION_SECONDS),
        "KUAIXUN_CONSUMER__MAX_POLL_INTERVAL_MS": str(POLL_SECONDS * 1000),
    }
    if plan.protocol is not GroupProtocol.CONSUMER:
        settings["KUAIXUN_CONSUMER__SESSION_TIMEOUT_MS"] = str(SESSION_SECONDS * 1000)
    return settings


def _name(plan: Plan, number: int) -> Mapping[str, str]:
    """A transactional id of its own, with which a worker's next process ends what the last one left open."""
    return {} if plan.nameless else {"KUAIXUN_TRANSACTIONAL_ID": f"chaos-{number}"}
