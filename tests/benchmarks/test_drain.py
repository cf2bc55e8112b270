"""A drain says why it has no figure, and the others' go on; the topics of a measurement are gone with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import pytest
from confluent_kafka.admin import AdminClient

from kuaixun.worker.delivery.promise import Guarantee
from tests.benchmarks.real_kafka import real_kafka
from tests.benchmarks.stream import drain as of_drain
from tests.benchmarks.stream import rounds
from tests.benchmarks.stream.contenders import CONTENDERS, Contender
from tests.benchmarks.stream.drain import Backlog, Drained, DrainError, drain
from tests.benchmarks.stream.report import Report
from tests.benchmarks.stream.rounds import cases, measure, summed_up
from tests.benchmarks.stream.start import start
from tests.benchmarks.worker import own_topics as of_own_topics
from tests.benchmarks.worker.own_topics import own_topics
from tests.kafka_broker import create_topic
from tests.worker.topics import PATIENCE_SECONDS, Topics

TOPICS = Topics("", "raw", "labelled", "dead", "group", 6000)
BACKLOG = Backlog(TOPICS, 1000, None)


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many outcomes there are when the first is seen, and when the looking ends."""
    found: list[int] = []

    class Seen:
        def __init__(self, _: Topics) -> None:
            self._counts = list(found)

        def wait_for(self, *_: object) -> int:
            return self._counts.pop(0)

        def close(self) -> None:
            """Nothing is open."""

    @contextmanager
    def topics(_: str, *, delivery: Guarantee) -> Iterator[Topics]:
        yield TOPICS

    @contextmanager
    def members(*_: object) -> Iterator[list[object]]:
        yield [SimpleNamespace(processor_seconds=lambda: 1.0, kilobytes=lambda _: 1024)]

    monkeypatch.setattr(of_drain, "Progress", Seen)
    monkeypatch.setattr(of_drain, "own_topics", topics)
    monkeypatch.setattr(of_drain, "started", members)
    return found


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ((1000, 1000), "passthrough was through before it could be looked at"),
        ((400, 400), "passthrough stood still for 15 s after its first 400 outcomes"),
    ],
)
def test_one_that_stands_still_is_told_from_one_that_is_through(
    counts: list[int], seen: tuple[int, int], said: str
) -> None:
    counts.extend(seen)
    with pytest.raises(DrainError, match=said):
        drain(CONTENDERS["passthrough"], BACKLOG, Guarantee.AT_LEAST_ONCE, 1)


def test_what_comes_after_the_first_is_counted(counts: list[int]) -> None:
    counts.extend((400, 700))
    assert drain(CONTENDERS["passthrough"], BACKLOG, Guarantee.AT_LEAST_ONCE, 1).peak_megabytes == 1


def test_one_that_stands_still_is_left_out_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = {"torchscript"}

    def drained(contender: Contender, *_: object) -> Drained:
        if contender.name in slow:
            raise DrainError(f"{contender.name} stood still")
        return Drained(100.0, 2.0, 10.0, 1.0)

    monkeypatch.setattr(rounds, "drain", drained)
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
