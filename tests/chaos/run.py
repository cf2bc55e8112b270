"""One run under one guarantee: everything is sent while the faults strike, and read until nothing more comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kuaixun.worker.delivery.promise import Guarantee
from kuaixun.worker.membership import GroupProtocol
from tests.chaos.account import Account, Window
from tests.chaos.inputs import PARTITIONS, Inputs
from tests.chaos.models import Models
from tests.chaos.schedule import Fault, Kind
from tests.chaos.topics import DEAD_LETTERS, EVENTS, RAW, Inlet, Outlet
from tests.chaos.workers import Worker
from tests.kafka_broker import create_topic
from tests.proxied_broker import ProxiedBroker
from tests.tcp_proxy import Network

SESSION_SECONDS, OUTAGE_SECONDS, POLL_SECONDS, TRANSACTION_SECONDS = 6, 30, 32, 10
FREEZE_SECONDS, STALL_SECONDS, NETWORK_SECONDS, BROKER_SECONDS = 9.0, 34.0, 9.0, 2.0
# How often the broker ends transactions whose time is over. Those of named workers need it not, and it is not to happen
# while the broker starts, which may take 30 s on a busy machine: see ProxiedBroker.markers_skipped.
NAMELESS_SECONDS, NAMED_SECONDS = 10, 60
TICK_SECONDS = 0.02
BEHIND_SECONDS = 5.0  # what was not sent while the broker was started is made up for at most so far
SETTLE_SECONDS = 2.0 * SESSION_SECONDS  # the group may learn of a fault only when a session is over
SILENCE_SECONDS = 90.0
NETWORKS = {Kind.CUT: Network.CUT, Kind.HOLE: Network.HOLE, Kind.SLOW: Network.SLOW}


class Progress(Protocol):
    """Who is told how a run goes."""

    def struck(self, after_inputs: int, what: str) -> None:
        """A fault strikes."""

    def advanced(self, sent: int, answered: int) -> None:
        """So many inputs are sent, and so many have their outcome."""


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
    windows: list[Window] = field(default_factory=list)
    markers_skipped_by_the_broker: int = 0
    ended_alone: list[int] = field(default_factory=list)
    ended_in_order: list[int] = field(default_factory=list)
    ended_cut_off: list[int] = field(default_factory=list)


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
        stage = _Stage(plan, broker, crew, models, found, progress, inputs)
        try:
            stage.play()
        finally:
            stage.clear()
        stage.outlet.read_to_the_end()
        stage.outlet.close()
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


class _Stage:
    """All that takes part in a run."""

    def __init__(
        self,
        plan: Plan,
        broker: ProxiedBroker,
        crew: Sequence[Worker],
        models: Models,
        found: Found,
        progress: Progress,
        inputs: Inputs,
    ) -> None:
        self._plan, self._broker, self._crew, self._models = plan, broker, crew, models
        self._account, self._windows, self._progress = found.account, found.windows, progress
        self._started = time.monotonic()
        self._inlet = Inlet(broker.bootstrap, inputs)
        self.outlet = Outlet(broker.bootstrap, found.account, self._now)
        self._struck_at: float | None = None
        self._whole_at: float | None = None
        self._sent_when_whole = 0

    def play(self) -> None:
        """Send everything while the faults strike, then wait for the outcomes."""
        for worker in self._crew[: self._plan.workers]:
            worker.start()
        faults = list(self._plan.faults)
        due, then = 0.0, time.monotonic()
        while self._account.sent < self._plan.inputs:
            now = time.monotonic()
            due, then = min(due + (now - then) * self._plan.rate, BEHIND_SECONDS * self._plan.rate), now
            while due >= 1 and self._account.sent < self._plan.inputs:
                if faults and faults[0].after_inputs <= self._account.sent:
                    self._wait_for_flow()
                    self._strike(faults.pop(0))
                if not self._inlet.send(self._account.sent):
                    break
                self._account.sent += 1
                due -= 1
            self._turn(TICK_SECONDS)
        self._inlet.finish()
        self._wait_for_outcomes()

    def clear(self) -> None:
        """See every process out."""
        for worker in self._crew:
            worker.terminate(for_good=True)
        while any(worker.troubled or worker.at_work for worker in self._crew):
            self._turn(TICK_SECONDS)
        if self._struck_at is not None:
            self._windows.append(Window(self._struck_at, self._now()))

    def _turn(self, seconds: float) -> int:
        """Read for a moment, and see to whatever is due."""
        count = self.outlet.read(seconds)
        for worker in self._crew:
            worker.tend()
        self._watch_window()
        self._progress.advanced(self._account.sent, self._account.sent - self._account.missing)
        return count

    def _strike(self, fault: Fault) -> None:
        """Let the fault happen. What it stops comes back, at once or when it is due."""
        at_work = [worker for worker in self._crew if worker.at_work]
        victim = at_work[fault.worker % len(at_work)]
        self._progress.struck(self._account.sent, f"{fault.kind} (worker {self._crew.index(victim)})")
        self._struck_at = self._now() if self._struck_at is None else self._struck_at
        self._whole_at = None
        match fault.kind:
            case Kind.KILL:
                victim.kill()
            case Kind.TERMINATE:
                victim.terminate()
            case Kind.FREEZE:
                victim.freeze(FREEZE_SECONDS)
            case Kind.STALL:
                victim.freeze(STALL_SECONDS)
            case Kind.CUT | Kind.HOLE | Kind.SLOW:
                victim.spoil(NETWORKS[fault.kind], NETWORK_SECONDS)
            case Kind.ADD:
                next(worker for worker in self._crew if not worker.at_work).start()
            case Kind.REMOVE:
                victim.terminate(for_good=True)
            case Kind.SWAP:
                self._models.swap()
            case Kind.RESTART:
                self._replace_broker(self._broker.stop)
            case Kind.CRASH:
                self._replace_broker(self._broker.kill)

    def _replace_broker(self, end: Callable[[], None]) -> None:
        for worker in self._crew:
            worker.lose_the_broker()
        end()
        time.sleep(BROKER_SECONDS)
        self._broker.start()

    def _watch_window(self) -> None:
        """A fault's window ends when all is whole again, what was sent by then is answered, and the group settled."""
        if self._struck_at is None:
            return
        if any(worker.troubled for worker in self._crew):
            self._whole_at = None
        elif self._whole_at is None:
            self._whole_at, self._sent_when_whole = self._now(), self._account.sent
        elif self._now() - self._whole_at >= SETTLE_SECONDS and self._account.done_to >= self._sent_when_whole:
            self._windows.append(Window(self._struck_at, self._now()))
            self._struck_at = self._whole_at = None

    def _wait_for_flow(self) -> None:
        """Wait until the group works again after the last fault: the next one is to interrupt work."""
        until = time.monotonic() + SILENCE_SECONDS
        while self._account.missing and not self._turn(0.2) and time.monotonic() < until:
            pass

    def _wait_for_outcomes(self) -> None:
        """Read on until every input has an outcome, or none has come for a long while."""
        missing, since = self._account.missing, time.monotonic()
        while missing and time.monotonic() - since < SILENCE_SECONDS:
            self._turn(0.2)
            if self._account.missing < missing:
                missing, since = self._account.missing, time.monotonic()

    def _now(self) -> float:
        return time.monotonic() - self._started
