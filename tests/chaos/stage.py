"""All that takes part in a run, played from the first input to the last outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from tests.chaos.account import Account
from tests.chaos.custody import Custody
from tests.chaos.inputs import PARTITIONS, Inputs
from tests.chaos.models import Models
from tests.chaos.schedule import Fault, Kind
from tests.chaos.strike import Strike
from tests.chaos.swap import Swap
from tests.chaos.topics import Inlet, Outlet
from tests.chaos.windows import DISORDERLY, Window
from tests.chaos.workers import Worker
from tests.proxied_broker import ProxiedBroker
from tests.tcp_proxy import Network

GROUP = "chaos"
SESSION_SECONDS, POLL_SECONDS = 6, 32
FREEZE_SECONDS, STALL_SECONDS, NETWORK_SECONDS, BROKER_SECONDS = 9.0, 34.0, 9.0, 2.0
NETWORKS = {Kind.CUT: Network.CUT, Kind.HOLE: Network.HOLE, Kind.SLOW: Network.SLOW}
BROKER_KINDS = frozenset({Kind.RESTART, Kind.CRASH})
TICK_SECONDS = 0.02
BEHIND_SECONDS = 5.0  # what was not sent while the broker was started is made up for at most so far
# In a window less is sent, so that most inputs meet the group at peace, where nothing excuses a repeat. While a fault
# waits for whom it is to strike it is less still, and ever less, so that some is left to be interrupted.
WINDOW_SHARE, WAITING_SHARE, LEFT_SECONDS = 0.25, 0.15, 60.0
READY_SECONDS = 120.0  # then it strikes nobody, and the run says so
FLOW_SECONDS = 2.0
HELD_SECONDS = 1.0
SETTLE_SECONDS = 2.0
SILENCE_SECONDS = 90.0


class Progress(Protocol):
    """Who is told how a run goes."""

    def struck(self, after_inputs: int, what: str) -> None:
        """A fault strikes."""

    def advanced(self, sent: int, answered: int) -> None:
        """So many inputs are sent, and so many have their outcome."""


class Stage:
    """The broker, the crew of workers, both ends of their topics, and the faults. A context, for it asks in a thread.

    `strikes` are the faults that found whom to strike, in their order.
    """

    def __init__(
        self,
        faults: Sequence[Fault],
        inputs_count: int,
        rate: float,
        broker: ProxiedBroker,
        crew: Sequence[Worker],
        models: Models,
        account: Account,
        progress: Progress,
        inputs: Inputs,
    ) -> None:
        self._faults, self._inputs_count, self._rate = list(faults), inputs_count, rate
        self._broker, self._crew, self._models = broker, crew, models
        self._account, self._progress = account, progress
        self._started = time.monotonic()
        self._inlet = Inlet(broker.bootstrap, inputs)
        self._outlet = Outlet(broker.bootstrap, inputs, account, self._now)
        self._custody = Custody(broker.bootstrap, GROUP, self._now)
        self._flowed_at = float("-inf")
        self._waiting_since: float | None = None
        self._swap: Swap | None = None
        self.strikes: list[Strike] = []

    def __enter__(self) -> Self:
        self._custody.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._custody.__exit__(kind, error, traceback)
        self._outlet.close()

    def play(self, workers: int) -> None:
        """Send everything while the faults strike so many workers, then wait for the outcomes."""
        for worker in self._crew[:workers]:
            worker.start()
        self._wait(lambda: self._custody.settled(self._names()), READY_SECONDS)
        due, then = 0.0, time.monotonic()
        while self._account.sent < self._inputs_count or self._faults:
            now = time.monotonic()
            due, then = min(due + (now - then) * self._rate_now(), BEHIND_SECONDS * self._rate), now
            while due >= 1 and self._account.sent < self._inputs_count and self._inlet.send(self._account.sent):
                self._account.sent += 1
                due -= 1
                if self._fault_is_due():
                    break
            self._strike_if_due()
            self._turn(TICK_SECONDS)
        self._inlet.finish()
        self._wait_for_outcomes()
        self._wait(lambda: not self._swap and not self._open_windows(), SILENCE_SECONDS)

    def clear(self) -> None:
        """See every process out."""
        for worker in self._crew:
            worker.terminate(for_good=True)
        while any(worker.troubled or worker.at_work for worker in self._crew):
            self._turn(TICK_SECONDS)

    def read_to_the_end(self) -> None:
        """Read what is still to come now that nobody writes any more."""
        self._outlet.read_to_the_end()

    def _turn(self, seconds: float) -> None:
        """Read for a moment, and see to whatever is due."""
        if self._outlet.read(seconds):
            self._flowed_at = self._now()
        for worker in self._crew:
            worker.tend()
        for window in self._open_windows():
            self._watch(window)
        if self._swap is not None and self._swap.over(self._now()):
            self._swap = None
        self._progress.advanced(self._account.sent, self._account.sent - self._account.missing)

    def _fault_is_due(self) -> bool:
        return bool(self._faults) and self._faults[0].after_inputs <= self._account.sent

    def _rate_now(self) -> float:
        if not self._swap and not self._fault_is_due():
            return self._rate * (WINDOW_SHARE if self._open_windows() else 1.0)
        return min(WAITING_SHARE * self._rate, (self._inputs_count - self._account.sent) / LEFT_SECONDS)

    def _strike_if_due(self) -> None:
        """Let the next fault happen once it is due and finds whom to strike; nothing strikes into a swap."""
        if self._swap or not self._fault_is_due():
            return
        if self._waiting_since is None:
            self._waiting_since = self._now()
        victims = self._victims(self._faults[0].kind)
        if not victims and self._now() - self._waiting_since < READY_SECONDS:
            return
        fault, self._waiting_since = self._faults.pop(0), None
        if victims:
            self._strike(fault, victims[fault.worker % len(victims)])

    def _victims(self, kind: Kind) -> list[Worker]:
        """Whom a fault can strike now; nobody where it would not interrupt work."""
        holders = set(self._custody.latest.holders.values())
        working = [worker for worker in self._crew if worker.whole and worker.name in holders]
        flows = self._now() - self._flowed_at < FLOW_SECONDS or self._account.sent == self._inputs_count
        if not flows:
            return []
        match kind:
            case Kind.ADD:
                return [worker for worker in self._crew if worker.vacant]
            case Kind.REMOVE:
                return working if len(self._names()) > 1 else []
            case Kind.SWAP:
                return working if self._custody.settled(self._names()) and len(working) == len(self._names()) else []
            case _:
                return working

    def _strike(self, fault: Fault, victim: Worker) -> None:
        index = None if fault.kind in BROKER_KINDS | {Kind.SWAP} else self._crew.index(victim)
        named = "" if index is None else f" (worker {index})"
        self._progress.struck(self._account.sent, f"{fault.kind}{named}")
        at_seconds = self._now()
        window = self._window(fault.kind, index, at_seconds) if fault.kind in DISORDERLY else None
        self.strikes.append(Strike(fault, index, at_seconds, self._happen(fault.kind, victim), window))

    def _happen(self, kind: Kind, victim: Worker) -> Callable[[], bool]:
        """Let it happen; what it stops comes back, at once or when it is due. The answer tells if it took effect."""
        match kind:
            case Kind.KILL:
                killed = victim.kill()
                return lambda: killed
            case Kind.FREEZE | Kind.STALL:
                stopped = victim.freeze(FREEZE_SECONDS if kind is Kind.FREEZE else STALL_SECONDS)
                return lambda: stopped
            case Kind.TERMINATE | Kind.REMOVE:
                asked = victim.times_asked
                victim.terminate(for_good=kind is Kind.REMOVE)
                return lambda: victim.times_asked > asked
            case Kind.CUT | Kind.HOLE | Kind.SLOW:
                disturbed = victim.times_disturbed
                victim.spoil(NETWORKS[kind], NETWORK_SECONDS)
                return lambda: victim.times_disturbed > disturbed
            case Kind.ADD:
                begun = victim.times_begun
                victim.start()
                return lambda: victim.times_begun > begun
            case Kind.SWAP:
                swap = self._swap = Swap(self._models, self._account, self._crew, self._now())
                return lambda: swap.seen
            case Kind.RESTART | Kind.CRASH:
                self._replace_broker(self._broker.stop if kind is Kind.RESTART else self._broker.kill)
                return lambda: True

    def _replace_broker(self, end: Callable[[], None]) -> None:
        for worker in self._crew:
            worker.lose_the_broker()
        end()
        time.sleep(BROKER_SECONDS)
        self._broker.start()

    def _window(self, kind: Kind, index: int | None, at_seconds: float) -> Window:
        committed = self._custody.latest.committed
        if index is None:
            return Window(kind, None, at_seconds, committed, frozenset(range(PARTITIONS)))
        held = self._custody.held(self._crew[index].name, at_seconds - HELD_SECONDS)
        return Window(kind, index, at_seconds, committed, held)

    def _open_windows(self) -> list[Window]:
        windows = (strike.window for strike in self.strikes)
        return [window for window in windows if window is not None and window.end_seconds > self._now()]

    def _watch(self, window: Window) -> None:
        """A window ends once what was struck is whole, and what was sent by then committed by a group that settled."""
        struck = self._crew if window.worker is None else [self._crew[window.worker]]
        if any(worker.troubled for worker in struck):
            window.whole_seconds = float("inf")
            return
        now, view = self._now(), self._custody.latest
        if window.whole_seconds > now:
            window.whole_seconds, window.sent_when_whole = now, self._account.sent
        done = all(view.committed[lane] * PARTITIONS + lane >= window.sent_when_whole for lane in window.partitions)
        if done and now - window.whole_seconds >= SETTLE_SECONDS and self._custody.settled(self._names()):
            window.end_seconds = now

    def _names(self) -> list[str]:
        return [worker.name for worker in self._crew if worker.at_work]

    def _wait(self, done: Callable[[], bool], limit_seconds: float) -> None:
        """Turn until it is so, but no longer than the limit."""
        until = self._now() + limit_seconds
        while not done() and self._now() < until:
            self._turn(TICK_SECONDS)

    def _wait_for_outcomes(self) -> None:
        """Read on until every input has an outcome, or none has come for a long while."""
        missing, since = self._account.missing, time.monotonic()
        while missing and time.monotonic() - since < SILENCE_SECONDS:
            self._turn(0.2)
            if self._account.missing < missing:
                missing, since = self._account.missing, time.monotonic()

    def _now(self) -> float:
        return time.monotonic() - self._started
