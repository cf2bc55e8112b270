"""The consumer's side at the client's seam: what a rebalance within one call to the client may not hand on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from kuaixun.worker.errors import BrokerUnreachableError
from kuaixun.worker.kafka.sink import KafkaSink
from kuaixun.worker.kafka.source import KafkaSource
from kuaixun.worker.records import Partition
from kuaixun.worker.settings import read_settings

Callback = Callable[[Any, list[TopicPartition]], None]


class RebalancingConsumer:
    """Assigns both partitions in its first call, and in its second revokes one in the midst of what it has fetched."""

    def __init__(self, *_: object, **__: object) -> None:
        self._calls = 0

    def subscribe(self, _topics: list[str], on_assign: Callback, on_revoke: Callback, on_lost: Callback) -> None:
        self._on_assign, self._on_revoke, self._on_lost = on_assign, on_revoke, on_lost

    def consume(self, _limit: int, _timeout_seconds: float) -> list[Message]:
        self._calls += 1
        if self._calls == 1:
            self._on_assign(self, [TopicPartition("raw", number) for number in (0, 1)])
        elif self._calls == 2:
            self._on_revoke(self, [TopicPartition("raw", 0)])
            return [Message(topic="raw", partition=number, offset=7, timestamp=(1, 1)) for number in (0, 1)]
        return []

    def committed(self, positions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        return [TopicPartition(position.topic, position.partition, 7) for position in positions]

    def consumer_group_metadata(self) -> bytes:
        return b""

    def incremental_assign(self, positions: list[TopicPartition]) -> None:
        pass


class Listener:
    """Keeps what it is told of."""

    def __init__(self) -> None:
        self.let_go: list[frozenset[Partition]] = []

    def positioned(self, offsets: Mapping[Partition, int]) -> None:
        raise AssertionError(offsets)

    def committed(self, offsets: Mapping[Partition, int]) -> None:
        raise AssertionError(offsets)

    def revoked(self, partitions: frozenset[Partition]) -> None:
        self.let_go.append(partitions)

    def lost(self, partitions: frozenset[Partition]) -> None:
        raise AssertionError(partitions)


def test_no_record_of_a_partition_revoked_in_the_same_call_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kuaixun.worker.kafka.source.Consumer", RebalancingConsumer)
    source, listener = KafkaSource(read_settings({"input_topic": "raw"})), Listener()
    source.subscribe(listener)
    assert not source.joined
    assert not source.batch(10, 0.0, 0.0)
    assert source.joined
    assert [(record.partition, record.offset) for record in source.batch(10, 0.0, 0.0)] == [(1, 7)]
    assert listener.let_go == [frozenset({Partition("raw", 0)})]


def test_a_member_that_the_group_has_dropped_has_not_joined_until_it_is_given_a_share_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class DroppedMember(RebalancingConsumer):
        """Given both partitions, dropped, and then given a share of nothing, one call after the other."""

        def consume(self, _limit: int, _timeout_seconds: float) -> list[Message]:
            places = [TopicPartition("raw", number) for number in (0, 1)]
            called_back, told = [(self._on_assign, places), (self._on_lost, places), (self._on_assign, [])][self._calls]
            called_back(self, told)
            self._calls += 1
            return []

    class Dropped(Listener):
        def lost(self, partitions: frozenset[Partition]) -> None:
            self.let_go.append(partitions)

    monkeypatch.setattr("kuaixun.worker.kafka.source.Consumer", DroppedMember)
    source, listener = KafkaSource(read_settings({"input_topic": "raw"})), Dropped()
    source.subscribe(listener)
    joined = []
    for _ in range(3):
        source.batch(10, 0.0, 0.0)
        joined.append(source.joined)
    assert joined == [True, False, True]
    assert listener.let_go == [frozenset({Partition("raw", 0), Partition("raw", 1)})]


def test_an_assignment_outlives_a_coordinator_that_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS]

    class MovingCoordinator(RebalancingConsumer):
        """Knows the offsets when it is asked for the third time."""

        def committed(self, positions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
            if answers:
                raise KafkaException(KafkaError(answers.pop(0)))
            return super().committed(positions, timeout)

    monkeypatch.setattr("kuaixun.worker.kafka.source.Consumer", MovingCoordinator)
    source = KafkaSource(read_settings({"input_topic": "raw"}))
    source.subscribe(Listener())
    assert not source.batch(10, 0.0, 0.0)
    assert not answers


def test_all_that_callbacks_ask_the_brokers_for_has_one_outage_s_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    class SlowCoordinator(RebalancingConsumer):
        """Takes nearly all the time there is, for each of many assignments."""

        def consume(self, _limit: int, _timeout_seconds: float) -> list[Message]:
            for number in range(3):
                self._on_assign(self, [TopicPartition("raw", number)])
            return []

        def committed(self, positions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
            now[0] += 0.9 * timeout
            return super().committed(positions, timeout)

    monkeypatch.setattr("kuaixun.worker.kafka.source.Consumer", SlowCoordinator)
    settings = read_settings({"input_topic": "raw"})
    source = KafkaSource(settings, monotonic=lambda: now[0])
    source.subscribe(Listener())
    for turn in (1, 2):
        source.batch(10, 0.0, 0.0)
        assert now[0] <= turn * settings.outage_seconds


class PassedByRetention(RebalancingConsumer):
    """Hands over two records of partition 0, and then says that the next is not there any more."""

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()
        self.reads_on_from: list[int] = []

    def consume(self, _limit: int, _timeout_seconds: float) -> list[Message]:
        self._calls += 1
        if self._calls == 1:
            self._on_assign(self, [TopicPartition("raw", 0)])
        elif self._calls == 2:
            gone = KafkaError(KafkaError._AUTO_OFFSET_RESET)
            records = [Message(topic="raw", partition=0, offset=offset, timestamp=(1, 1)) for offset in (7, 8)]
            return [*records, Message(topic="raw", partition=0, offset=9, error=gone)]
        return []

    def get_watermark_offsets(self, _position: TopicPartition, timeout: float) -> tuple[int, int]:
        return 400, 500

    def incremental_assign(self, positions: list[TopicPartition]) -> None:
        self.reads_on_from += [position.offset for position in positions]

    def incremental_unassign(self, _positions: list[TopicPartition]) -> None:
        pass


@pytest.mark.parametrize("rewound", [False, True])
def test_what_was_read_before_a_position_turned_out_to_be_gone_is_handed_over_before_another_is_chosen(
    monkeypatch: pytest.MonkeyPatch, rewound: bool
) -> None:
    consumer, listener = PassedByRetention(), Listener()
    chosen: list[Mapping[Partition, int]] = []
    monkeypatch.setattr("kuaixun.worker.kafka.source.Consumer", lambda *_, **__: consumer)
    monkeypatch.setattr(listener, "positioned", chosen.append)
    source = KafkaSource(read_settings({"input_topic": "raw", "auto_offset_reset": "latest"}))
    source.subscribe(listener)
    assert not source.batch(10, 0.0, 0.0)
    assert [record.offset for record in source.batch(10, 0.0, 0.0)] == [7, 8]
    assert chosen == []
    if rewound:
        source.rewind({Partition("raw", 0): 7})
    assert not source.batch(10, 0.0, 0.0)
    assert chosen == ([] if rewound else [{Partition("raw", 0): 500}])
    assert consumer.reads_on_from == [7, 7 if rewound else 500]


class CommittingConsumer(RebalancingConsumer):
    """Answers each commit in the next call to consume, with errors in turn."""

    errors: ClassVar[list[int]] = []

    def __init__(self, config: dict[str, Any], **_: object) -> None:
        super().__init__()
        self._on_commit, self._waiting = config["on_commit"], list[TopicPartition]()

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> None:
        self._waiting = offsets

    def consume(self, limit: int, timeout_seconds: float) -> list[Message]:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._on_commit(KafkaError(self.errors.pop(0)), waiting)
            return []
        return super().consume(limit, timeout_seconds)


@pytest.mark.parametrize("over", ["its partitions leave", "the group answers"])
def test_commits_that_failed_once_long_ago_do_not_end_the_worker(monkeypatch: pytest.MonkeyPatch, over: str) -> None:
    monkeypatch.setattr("kuaixun.worker.kafka.source.Consumer", CommittingConsumer)
    errors = [KafkaError._WAIT_COORD, KafkaError.ILLEGAL_GENERATION]
    monkeypatch.setattr(CommittingConsumer, "errors", errors)
    now = [0.0]
    source = KafkaSource(read_settings({"input_topic": "raw"}), monotonic=lambda: now[0])
    source.subscribe(Listener())
    source.batch(1, 0.0, 0.0)
    source.commit({Partition("raw", 0): 7})
    source.stay(1)
    if over == "its partitions leave":
        now[0] = 2.0
        source.stay(1)
    else:
        source.commit({Partition("raw", 0): 7})
        now[0] = 2.0
        source.stay(1)
    now[0] = 1000.0
    source.commit({Partition("raw", 0): 7})


def test_commits_that_fail_for_longer_than_an_outage_may_last_end_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kuaixun.worker.kafka.source.Consumer", CommittingConsumer)
    monkeypatch.setattr(CommittingConsumer, "errors", [KafkaError._WAIT_COORD] * 2)
    now = [0.0]
    source = KafkaSource(read_settings({"input_topic": "raw"}), monotonic=lambda: now[0])
    source.subscribe(Listener())
    source.batch(1, 0.0, 0.0)
    for moment in (10.0, 20.0):
        source.commit({Partition("raw", 0): 7})
        now[0] = moment
        source.stay(1)
    now[0] = 1000.0
    with pytest.raises(BrokerUnreachableError, match="Given up after 120 s"):
        source.commit({Partition("raw", 0): 7})


@pytest.mark.parametrize(
    ("answers", "is_left"),
    [
        ([None], True),
        ([KafkaError(KafkaError.ILLEGAL_GENERATION)], True),
        ([KafkaError(KafkaError._WAIT_COORD), KafkaError(KafkaError._TIMED_OUT), None], True),
        ([KafkaError(KafkaError._WAIT_COORD)] * 1000, False),
        ([KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)], False),
        ([], False),
    ],
)
def test_a_group_is_not_left_in_order_before_the_last_commit_is_answered_well(
    monkeypatch: pytest.MonkeyPatch, answers: list[KafkaError | None], is_left: bool
) -> None:
    now, answers = [0.0], list(answers)

    class LastCommitting(CommittingConsumer):
        """Answers each commit in turn, or never."""

        def consume(self, limit: int, timeout_seconds: float) -> list[Message]:
            now[0] += timeout_seconds
            if self._waiting and answers:
                waiting, self._waiting = self._waiting, []
                self._on_commit(answers.pop(0), waiting)
            return [] if self._calls else RebalancingConsumer.consume(self, limit, timeout_seconds)

        def close(self) -> None:
            pass

    monkeypatch.setattr("kuaixun.worker.kafka.source.Consumer", LastCommitting)
    source, listener = KafkaSource(read_settings({"input_topic": "raw"}), monotonic=lambda: now[0]), Listener()
    monkeypatch.setattr(listener, "committed", lambda _: None)
    source.subscribe(listener)
    source.batch(1, 0.0, 0.0)
    source.commit({Partition("raw", 0): 7}, last_chance=True)
    assert source.close(10.0) is is_left
    assert now[0] <= 10.0


def test_an_operator_may_choose_the_first_pause_before_a_lost_connection_is_tried_again_alone() -> None:
    settings = read_settings({"input_topic": "raw", "kafka": {"reconnect.backoff.ms": "5000", "log_level": "0"}})
    KafkaSink(settings)
    KafkaSource(settings).close(0.0)
