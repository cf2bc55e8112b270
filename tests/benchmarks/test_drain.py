"""A drain says why it has no figure, and the others' go on; the topics of a measurement are gone with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import TypeAlias

import pytest
from confluent_kafka.admin import AdminClient

from kuaixun.worker.delivery.promise import Guarantee
from tests.benchmarks.brokers import real_kafka
from tests.benchmarks.stream import drain as of_drain
from tests.benchmarks.stream import progress as of_progress
from tests.benchmarks.stream import rounds
from tests.benchmarks.stream.contenders import CONTENDERS, PASSTHROUGH, Contender
from tests.benchmarks.stream.drain import Backlog, Drained, drain, warm_up
from tests.benchmarks.stream.progress import (
    LOOK_EVERY_SECONDS,
    NEAR_SECONDS,
    SOON_SECONDS,
    DrainError,
    Progress,
)
from tests.benchmarks.stream.report import Report
from tests.benchmarks.stream.rounds import cases, measure, summed_up
from tests.benchmarks.stream.start import start
from tests.benchmarks.worker import own_topics as of_own_topics
from tests.benchmarks.worker.own_topics import own_topics
from tests.kafka_broker import create_topic
from tests.worker.topics import PATIENCE_SECONDS, Topics

TOPICS = Topics("", "raw", "labelled", "dead", "group", 6000)
BACKLOG = Backlog(TOPICS, 1000, None)


class Clock:
    """Time that passes only in sleep; `looks` are its moments at which somebody counted."""

    def __init__(self) -> None:
        self.now = 100.0
        self.looks: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


Counted: TypeAlias = Callable[[Callable[[float], int]], Clock]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Has a member that takes half a processor come to so many outcomes, by the seconds that have passed."""

    def by(count_at: Callable[[float], int]) -> Clock:
        clock = Clock()

        class Fake(Progress):
            def __init__(self, _: Topics) -> None:
                """There is no broker."""

            def count(self) -> int:
                clock.looks.append(clock.now - 100.0)
                return count_at(clock.now - 100.0)

            def close(self) -> None:
                """Nothing is open."""

        @contextmanager
        def topics(_: str, *, delivery: Guarantee) -> Iterator[Topics]:
            yield TOPICS

        @contextmanager
        def members(*_: object) -> Iterator[list[object]]:
            yield [
                SimpleNamespace(
                    process=SimpleNamespace(poll=lambda: None),
                    processor_seconds=lambda: clock.now / 2,
                    kilobytes={"VmHWM": 1024}.__getitem__,
                )
            ]

        monkeypatch.setattr(of_progress, "time", clock)
        monkeypatch.setattr(of_drain, "Progress", Fake)
        monkeypatch.setattr(of_drain, "own_topics", topics)
        monkeypatch.setattr(of_drain, "started", members)
        return clock

    return by


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (1000, "passthrough was through before it could be looked at"),
        (400, "nothing follows the first 400 outcomes in 8 s"),
    ],
)
def test_one_that_stands_still_is_told_from_one_that_is_through(counted: Counted, seen: int, said: str) -> None:
    counted(lambda _: seen)
    with pytest.raises(DrainError, match=said):
        drain(CONTENDERS["passthrough"], BACKLOG, Guarantee.AT_LEAST_ONCE, 1)


def test_one_that_never_comes_to_the_last_has_no_figure(counted: Counted) -> None:
    counted(lambda seconds: min(999, int(400 * seconds)))
    with pytest.raises(DrainError, match="nothing follows the first 999 outcomes in 8 s"):
        drain(CONTENDERS["native"], BACKLOG, Guarantee.AT_LEAST_ONCE, 1)


def test_what_comes_after_the_first_is_counted(counted: Counted) -> None:
    # 400 when it is first looked at; from then on 50 a second, of which 15 seconds are waited for.
    counted(lambda seconds: 400 + int(50 * seconds + 1e-6))
    found = drain(CONTENDERS["passthrough"], replace(BACKLOG, messages=100_000), Guarantee.AT_LEAST_ONCE, 1)
    assert found.messages_per_second == pytest.approx(50, rel=0.002)
    assert found.processor_microseconds == pytest.approx(0.5 / 50 * 1e6, rel=0.002)
    assert found.seconds == pytest.approx(15, rel=0.01)
    assert found.peak_megabytes == 1


@pytest.mark.parametrize("seconds", [1.01, 1.234, 2.0, 2.093])
def test_the_end_is_seen_when_it_is_there_however_fast_a_contender_is(counted: Counted, seconds: float) -> None:
    messages = 1_000_000
    clock = counted(lambda passed: min(messages, 1 + int(messages * passed / seconds)))
    found = drain(CONTENDERS["passthrough"], replace(BACKLOG, messages=messages), Guarantee.AT_LEAST_ONCE, 1)
    assert found.seconds - seconds <= SOON_SECONDS
    assert found.messages_per_second == pytest.approx(messages / seconds, rel=0.01)
    assert sum(look < seconds - 2 * NEAR_SECONDS for look in clock.looks) <= seconds / LOOK_EVERY_SECONDS


def test_the_last_transaction_is_seen_as_soon(counted: Counted) -> None:
    messages, a_transaction = 100_000, 10_000
    counted(lambda passed: min(messages, int(passed / 0.107) * a_transaction))
    found = drain(CONTENDERS["passthrough"], replace(BACKLOG, messages=messages), Guarantee.AT_LEAST_ONCE, 1)
    assert found.messages_per_second == pytest.approx(a_transaction / 0.107, rel=0.02)


def test_one_that_stands_still_is_left_out_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = {"torchscript"}

    def drained(contender: Contender, *_: object) -> Drained:
        if contender.name in slow:
            raise DrainError(f"{contender.name} stood still")
        return Drained(100.0, 2.0, 10.0, 1.0)

    for module in (rounds, of_drain):
        monkeypatch.setattr(module, "drain", drained)
    wanted = cases(["torchscript", "native"], [Guarantee.AT_LEAST_ONCE], [1])
    found = list(measure(BACKLOG, wanted, rounds=2))
    kept = [(number, case, one) for number, case, one in found if isinstance(one, Drained)]
    assert [row.contender for row in summed_up(kept)] == ["passthrough", "native"]
    assert [str(one) for _, _, one in found if isinstance(one, DrainError)] == ["torchscript stood still"] * 2
    Report({}, summed_up(kept), left_out=["round 1: torchscript stood still"]).show()
    assert "left out: round 1: torchscript stood still" in capsys.readouterr().out
    slow.add("passthrough")
    with pytest.raises(DrainError):
        list(measure(BACKLOG, wanted, rounds=1))


def test_the_broker_is_warmed_with_each_guarantee_in_turn_until_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Guarantee] = []

    def drained(_contender: Contender, _backlog: Backlog, delivery: Guarantee, _processes: int) -> Drained:
        seen.append(delivery)
        clock.now += 10.0
        return Drained(100.0, 2.0, 10.0, 1.0)

    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(of_drain, "drain", drained)
    monkeypatch.setattr(of_drain, "time", SimpleNamespace(monotonic=lambda: clock.now))
    warm_up(CONTENDERS[PASSTHROUGH], BACKLOG, list(Guarantee), 0.0)
    assert seen == [Guarantee.AT_LEAST_ONCE]
    warm_up(CONTENDERS[PASSTHROUGH], BACKLOG, list(Guarantee), 25.0)
    assert seen[1:] == [Guarantee.AT_LEAST_ONCE, Guarantee.EXACTLY_ONCE, Guarantee.AT_LEAST_ONCE]


def test_an_interruption_while_topics_are_made_leaves_none(
    kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def interrupted(bootstrap: str, name: str, partitions: int) -> None:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(name)
        create_topic(bootstrap, name, partitions)

    monkeypatch.setattr(of_own_topics, "create_topic", interrupted)
    with pytest.raises(KeyboardInterrupt), own_topics(kafka_bootstrap):
        pass
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    deadline = time.monotonic() + PATIENCE_SECONDS
    while {*made} & {*admin.list_topics(timeout=PATIENCE_SECONDS).topics} and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(made) == 2
    assert not {*made} & {*admin.list_topics(timeout=PATIENCE_SECONDS).topics}


def test_no_group_of_a_measurement_is_left_on_a_broker_of_ones_own(
    kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})

    def groups() -> set[str]:
        found = admin.list_consumer_groups().result(PATIENCE_SECONDS)
        return {one.group_id for one in found.valid if one.group_id.startswith(of_own_topics.PREFIX)}

    monkeypatch.setenv("KUAIXUN_TEST_BOOTSTRAP", kafka_bootstrap)
    with real_kafka() as bootstrap, Backlog.written(bootstrap, 2_000, None) as backlog:
        start(CONTENDERS["passthrough"], backlog)
        assert groups()
    assert not groups()


def test_no_topic_of_a_measurement_is_left(kafka_bootstrap: str) -> None:
    def topics() -> set[str]:
        found = AdminClient({"bootstrap.servers": kafka_bootstrap}).list_topics(timeout=PATIENCE_SECONDS).topics
        return {name for name in found if not name.startswith("__")}

    before = topics()
    with Backlog.written(kafka_bootstrap, 5_000, None) as backlog:
        assert len(topics() - before) == 3
        start(CONTENDERS["passthrough"], backlog)
        with suppress(DrainError):  # it may be through before it can be looked at
            drain(CONTENDERS["passthrough"], backlog, Guarantee.AT_LEAST_ONCE, 1)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(topics() - before) > 3 and time.monotonic() < deadline:  # the broker may still tell of them
            time.sleep(0.05)
        assert topics() - before == {backlog.topics.input, backlog.topics.output, backlog.topics.dead_letter}
    while topics() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert topics() == before
