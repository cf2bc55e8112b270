"""Latency counts from when a headline was due, what never came included; limits stand beside what they are for."""

from __future__ import annotations

import itertools
import uuid
from typing import cast

import numpy as np
import pytest
from rich.console import Console

from kuaixun.worker.kafka.sent_batches import SentBatches
from kuaixun.worker.messages import OutgoingColumns
from kuaixun.worker.streams import Receipts
from tests.benchmarks.stream import latency, traffic
from tests.benchmarks.stream.contenders import CONTENDERS, Contender
from tests.benchmarks.stream.latency import Run, measure, summed_up, waited_ms
from tests.benchmarks.stream.progress import DrainError
from tests.benchmarks.stream.report import latency_table
from tests.kafka_broker import create_topic
from tests.worker.topics import PARTITIONS

MAX_DELAY_MS = 5.0


def of(contender: str, p99_ms: float, p999_ms: float = 0.0, share: float = 0.5) -> Run:
    return Run(contender, share, 1000, p99_ms / 2, p99_ms, p999_ms or 2 * p99_ms, 1.0, 0.5)


def test_the_limit_is_of_the_medians_and_of_the_same_load() -> None:
    runs = [of("passthrough", 10.0), of("native", 30.0), of("native", 12.0), of("passthrough", 20.0)]
    runs += [of("passthrough", 300.0), of("native", 11.0, 80.0), of("passthrough", 1.0, share=0.1)]
    passthrough, native, other_load = summed_up(runs, MAX_DELAY_MS)
    assert (native.p99_ms, native.p99_by_round) == (12.0, [30.0, 12.0, 11.0])
    assert native.p99_limit_ms == pytest.approx((20.0 + MAX_DELAY_MS) * 1.2)
    assert native.p999_limit_ms == pytest.approx(5 * 12.0)
    assert passthrough.p99_limit_ms is None
    assert (other_load.share_of_maximum, other_load.p99_ms) == (0.1, 1.0)


def test_the_table_says_which_limit_is_kept() -> None:
    runs = [of("passthrough", 10.0, 51.0), of("native", 18.5, 40.0)]
    console = Console(width=200, record=True)
    console.print(latency_table(summed_up(runs, MAX_DELAY_MS)))
    load, passthrough, native = console.export_text().splitlines()[-3:]
    assert load.strip() == "at 50%"
    assert "50.0 missed" in passthrough
    assert "18.0 missed" in native
    assert "92.5 kept" in native


def test_there_is_no_limit_without_the_passthrough() -> None:
    (native,) = summed_up([of("native", 5.0)], MAX_DELAY_MS)
    assert native.p99_limit_ms is None


def test_what_did_not_arrive_has_waited_until_the_end_and_what_was_due_in_the_warm_up_does_not_count() -> None:
    expected = np.array([0, 1_000_000, 2_000_000, 3_000_000])
    waited = waited_ms(expected, due=[0, 2_000_000], seen=[900_000_000, 5_000_000], ended_at=13_000_000, from_=1)
    assert sorted(waited) == [3.0, 10.0, 12.0]


def test_every_other_round_goes_backwards_at_shares_of_a_maximum_that_was_measured_just_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def measured(contender: object, _bootstrap: str, share: float, rate: float, _seconds: float) -> Run:
        return Run(getattr(contender, "name"), share, rate, 1, 1, 1, 1, 1)  # noqa: B009 - of any type here

    monkeypatch.setattr(latency, "run", measured)
    maxima = iter([100.0, 200.0, 300.0, 400.0])
    runs = list(measure(["passthrough", "native"], "", lambda: next(maxima), [0.1, 0.5], 1.0, 2))
    assert all(isinstance(one, Run) and (one.contender, one.share_of_maximum) == (name, s) for name, s, one in runs)
    order = [(name, share) for name, share, _ in runs]
    assert order[:4] == list(itertools.product(["passthrough", "native"], [0.1])) + list(
        itertools.product(["passthrough", "native"], [0.5])
    )
    assert order[4:] == order[3::-1]
    done = [one for _, _, one in runs if isinstance(one, Run)]
    assert [one.messages_per_second for one in done] == [10.0, 10.0, 100.0, 100.0, 150.0, 150.0, 40.0, 40.0]
    summed = {(one.contender, one.share_of_maximum): one for one in summed_up(done, 5.0)}
    assert summed["native", 0.5].messages_per_second == 125.0


def test_one_that_comes_to_nothing_is_left_out_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(contender: Contender, *_: object) -> Run:
        if contender.name == "passthrough":
            raise DrainError("nothing comes out")
        return of(contender.name, 5.0)

    monkeypatch.setattr(latency, "run", measured)
    found = list(measure(["passthrough", "native"], "", lambda: 100.0, [0.5], 1.0, 1))
    assert [(name, type(one)) for name, _, one in found] == [("passthrough", DrainError), ("native", Run)]


def test_the_maximum_is_the_most_that_came_out_of_what_was_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    offered: list[float] = []

    def came_out(_contender: object, _bootstrap: str, rate: float, _seconds: float) -> float:
        offered.append(rate)
        return min(rate, 100.0 + (300.0 - rate) / 10)  # what is too much costs a tenth of itself

    monkeypatch.setattr(latency, "sustained", came_out)
    assert latency.maximum(CONTENDERS["native"], "", 300.0, 5.0) == pytest.approx(110.0)
    assert offered == [300.0, 200.0]
    offered.clear()
    assert latency.maximum(CONTENDERS["native"], "", 80.0, 5.0) == pytest.approx(80.0)
    assert offered == [80.0], "it kept up with what it drains"


def test_there_is_no_maximum_of_one_of_which_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "sustained", lambda *_: 0.0)
    with pytest.raises(DrainError, match="native: nothing comes out in 5 s of 300 headlines a second"):
        latency.maximum(CONTENDERS["native"], "", 300.0, 5.0)


class Clock:
    """Time that passes only in sleep, and that stands still for the process once."""

    def __init__(self, stall_at: int, stall: int) -> None:
        self.now, self.stall, self._stall_at = 0, stall, stall_at

    def monotonic_ns(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1e9)
        if self.stall and self.now >= self._stall_at:
            self.now, self.stall = self.now + self.stall, 0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(stall_at=5_000_000, stall=50_000_000)
    monkeypatch.setattr(traffic, "time", clock)
    return clock


def test_traffic_that_stood_still_sends_what_was_due_meanwhile_and_no_more(clock: Clock) -> None:
    sent = [(end, clock.now) for _, end in traffic.ticks(began=0, rate=1e4, total=1000)]
    for end, now in sent[:-1]:
        assert traffic.due_after(1e4, end - 1) <= now < traffic.due_after(1e4, end)
    assert sent[-1][0] == 1000
    assert max(later - earlier for (_, earlier), (_, later) in itertools.pairwise(sent)) >= 50_000_000
    assert clock.now < 110_000_000, "the stall does not make it longer"


class StallingClient:
    """What takes a tick's headlines in one call; takes its time over one of them, and may refuse one."""

    def __init__(self, clock: Clock, stall_at: int = -1, stall: int = 0, refused: int = -1) -> None:
        self._clock, self._stall_at, self._stall, self._refused = clock, stall_at, stall, refused
        self.taken: dict[int | None, list[int]] = {}

    def send(self, messages: OutgoingColumns, receipts: Receipts) -> None:
        for message in messages:
            due = int(message.key or 0)
            if due // 100_000 == self._refused:
                return
            if due // 100_000 == self._stall_at:
                self._clock.now += self._stall
            self.taken.setdefault(message.partition, []).append(due)
            receipts.queued += 1

    def report(self, _failure: object) -> None:
        """There are no reports."""


def late_p99_ms(client: StallingClient, rate: float, total: int) -> float:
    _, _, late = traffic.write(cast(SentBatches, client), traffic.columns("topic", [b"{}"], rate, total), rate)
    assert late.shape == (total,)
    return float(np.quantile(late, 0.99))


def test_how_late_the_traffic_is_counts_headlines_and_not_ticks(clock: Clock) -> None:
    # 50 ms make a twentieth of a second's headlines late, by up to 50 ms, and are one tick in 950.
    assert late_p99_ms(StallingClient(clock), 1e4, 10_000) == pytest.approx(40, abs=1)


def test_a_headline_that_the_client_takes_late_is_late(clock: Clock) -> None:
    clock.stall = 0
    # In the last tick, whose headlines came to it in time.
    assert late_p99_ms(StallingClient(clock, 95, 50_000_000), 1e4, 100) > 50


def test_every_headline_goes_to_the_partition_of_its_number_in_the_order_that_they_are_due(clock: Clock) -> None:
    client = StallingClient(clock)
    late_p99_ms(client, 1e4, 1_001)
    due = [traffic.due_after(1e4, number) for number in range(1_001)]
    assert client.taken == {partition: due[partition::PARTITIONS] for partition in range(PARTITIONS)}


def test_traffic_of_which_the_client_refuses_a_headline_ends(clock: Clock) -> None:
    with pytest.raises(RuntimeError, match="headline 7: the client did not take it"):
        late_p99_ms(StallingClient(clock, refused=7), 1e4, 100)


def test_traffic_that_the_broker_refuses_ends(kafka_bootstrap: str) -> None:
    name = f"small-{uuid.uuid4().hex}"
    create_topic(kafka_bootstrap, name, PARTITIONS, max_message_bytes="1")
    with pytest.raises(RuntimeError, match=f"did not come to {name}: .*too large"):
        traffic.main(kafka_bootstrap, name, "100", "0.1")


def test_a_run_of_the_passthrough_tells_how_long_all_of_its_headlines_took(kafka_bootstrap: str) -> None:
    one = latency.run(CONTENDERS["passthrough"], kafka_bootstrap, 0.5, 400.0, 1.0, warm_seconds=0.5)
    assert (one.contender, one.share_of_maximum, one.messages_per_second) == ("passthrough", 0.5, 400)
    assert one.arrived == 1.0
    assert 0 < one.p50_ms <= one.p99_ms <= one.p999_ms


def test_what_comes_out_of_one_that_keeps_up_is_what_it_is_offered(kafka_bootstrap: str) -> None:
    # A headline of the partition looked at more or less at either end of the time.
    rate = latency.sustained(CONTENDERS["passthrough"], kafka_bootstrap, 800.0, 2.0, warm_seconds=1.0)
    assert rate == pytest.approx(800.0, abs=0.25 * 800)
