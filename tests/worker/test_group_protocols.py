"""Two workers that join and leave, on real Kafka, under each group protocol and both guarantees."""

from __future__ import annotations

import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient

from kuaixun.worker import service
from kuaixun.worker.delivery.promise import Counts, Guarantee, Observer
from kuaixun.worker.errors import FencedError, SettingError
from kuaixun.worker.kafka.membership import GroupProtocol
from kuaixun.worker.kafka.source import KafkaSource
from kuaixun.worker.outcomes import Outcome
from kuaixun.worker.records import Partition, Record
from kuaixun.worker.settings import WorkerSettings
from kuaixun.worker.stop import Stop
from tests.kafka_broker import create_topic
from tests.worker.running import RunningWorker, running_worker
from tests.worker.test_contract import assert_each_once, assert_in_order, first_appearances, many
from tests.worker.test_real_kafka import commit, truncate
from tests.worker.topics import PATIENCE_SECONDS, Topics

Create = Callable[..., Topics]


@pytest.mark.parametrize("delivery", Guarantee)
@pytest.mark.parametrize("protocol", GroupProtocol)
def test_two_workers_join_and_leave_and_every_input_has_its_outcome(
    kafka_topics: Create, protocol: GroupProtocol, delivery: Guarantee
) -> None:
    topics = kafka_topics(delivery)
    labelled_by: Counter[str] = Counter()

    def counting(name: str) -> Observer:
        def observe(records: Sequence[Record], _outcomes: Sequence[Outcome]) -> None:
            labelled_by[name] += len(records)

        return observe

    settings = topics.settings(max_batch=20, group_protocol=protocol)
    sent = itertools.count(0, 40)
    deadline = time.monotonic() + PATIENCE_SECONDS
    with running_worker(settings, counting("first")):
        with running_worker(settings, counting("second")):
            while not (labelled_by["first"] and labelled_by["second"]) and time.monotonic() < deadline:
                topics.write(many(40, next(sent)))
                time.sleep(0.1)
        # The second has left: its partitions go back.
        topics.write(many(40, next(sent)))
        count = next(sent)
        topics.wait_until_committed(count)
    labelled = topics.read(topics.output, count)
    assert labelled_by["first"]
    assert labelled_by["second"]
    firsts = first_appearances(labelled)
    assert_each_once(firsts, count)
    assert_in_order(firsts)
    assert delivery is Guarantee.AT_LEAST_ONCE or len(labelled) == count


@pytest.mark.parametrize("delivery", Guarantee)
@pytest.mark.parametrize("protocol", GroupProtocol)
def test_an_offset_that_is_gone_is_passed_under_every_protocol(
    kafka_topics: Create, protocol: GroupProtocol, delivery: Guarantee
) -> None:
    topics = kafka_topics(delivery)
    topics.write(many(40))
    commit(topics, [1, 3, 3, 3])
    truncate(topics, 0, 4)
    with running_worker(topics.settings(group_protocol=protocol)):
        topics.wait_for(topics.output, 6 + 3 * 7)
    assert topics.committed() == [10] * 4


class Indifferent:
    """A listener with nothing to confirm."""

    def positioned(self, offsets: Mapping[Partition, int]) -> None:
        """Nothing depends on it."""

    committed = positioned

    def revoked(self, partitions: frozenset[Partition]) -> None:
        """Nothing is in flight."""

    lost = revoked


@pytest.mark.parametrize("protocol", GroupProtocol)
def test_a_worker_that_holds_no_partition_leaves_the_group_at_once(
    kafka_topics: Create, protocol: GroupProtocol
) -> None:
    topics = kafka_topics()
    narrow = f"{topics.input}.narrow"
    create_topic(topics.bootstrap, narrow, 1)
    admin = AdminClient({"bootstrap.servers": topics.bootstrap})

    def group() -> tuple[ConsumerGroupState, int] | None:
        # A new group may have no coordinator to ask yet, and one without a share of its own is to be ready too.
        if not any(source._member.owned for source in sources) or not all(source.joined for source in sources):
            return None
        found = admin.describe_consumer_groups([topics.group])[topics.group].result(PATIENCE_SECONDS)
        return found.state, len(found.members)

    sources: list[KafkaSource] = []
    try:
        for members in (1, 2):
            sources.append(KafkaSource(topics.settings(group_protocol=protocol), [narrow]))
            sources[-1].subscribe(Indifferent())
            deadline = time.monotonic() + PATIENCE_SECONDS
            while group() != (ConsumerGroupState.STABLE, members) and time.monotonic() < deadline:
                for source in sources:
                    source.batch(1, 0.0, 0.1)
        for source in sources * 3:  # the broker's last word reaches both
            source.batch(1, 0.0, 0.1)
        assert group() == (ConsumerGroupState.STABLE, 2)
        (idle,) = (source for source in sources if not source._member.owned)
        sources.remove(idle)
        assert idle.close(PATIENCE_SECONDS)
        left = group()
        assert left is not None
        assert left[1] == 1
    finally:
        for source in sources:
            source.close(PATIENCE_SECONDS)


def test_a_worker_whose_assignor_is_another_is_refused_and_the_group_works_on(kafka_topics: Create) -> None:
    topics = kafka_topics()
    with running_worker(topics.settings(group_protocol=GroupProtocol.COOPERATIVE)):
        topics.write(many(4))
        topics.read(topics.output, 4)
        other = RunningWorker(topics.settings(group_protocol=GroupProtocol.EAGER))
        other.wait()
        topics.write(many(4, 4))
        labelled = topics.read(topics.output, 8)
    assert isinstance(other.error, SettingError)
    assert "KUAIXUN_GROUP_PROTOCOL" in str(other.error)
    assert_each_once(labelled, 8)


@pytest.mark.parametrize("protocol", [GroupProtocol.COOPERATIVE, GroupProtocol.CONSUMER])
def test_of_two_workers_of_one_instance_id_one_is_fenced_and_ends_and_the_other_serves(
    kafka_topics: Create, protocol: GroupProtocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready: defaultdict[Stop, list[bool]] = defaultdict(list)
    run_worker = service.run_worker

    def watched(settings: WorkerSettings, stop: Stop, **more: Any) -> Counts:
        return run_worker(settings, stop, turned=ready[stop].append, **more)

    monkeypatch.setattr(service, "run_worker", watched)
    topics = kafka_topics()
    assert "group.instance.id" not in topics.settings().consumer_properties(), "off where nobody asks for it"
    of_the_session = {} if protocol is GroupProtocol.CONSUMER else topics.session()
    settings = topics.settings(group_protocol=protocol, consumer={**of_the_session, "group.instance.id": "one"})
    workers = [RunningWorker(settings)]
    try:
        topics.write(many(4))
        topics.read(topics.output, 4)
        workers.append(RunningWorker(settings))
        deadline = time.monotonic() + PATIENCE_SECONDS
        while all(worker.running for worker in workers) and time.monotonic() < deadline:
            time.sleep(0.05)
        # The classic protocol fences the old member, that of KIP-848 the new one.
        fenced, serving = workers if protocol is GroupProtocol.COOPERATIVE else reversed(workers)
        assert isinstance(fenced.error, FencedError), fenced.error
        assert "group.instance.id" in str(fenced.error)
        while not any(ready[serving.stop]) and serving.running and time.monotonic() < deadline:
            time.sleep(0.05)
        assert any(ready[serving.stop])
        assert protocol is GroupProtocol.COOPERATIVE or not any(ready[fenced.stop]), "it has never held a share"
        turns = len(ready[fenced.stop])
        topics.write(many(4, 4))
        topics.wait_until_committed(8)
        labelled = first_appearances(topics.read(topics.output, 8))
    finally:
        for worker in workers:
            worker.stop.request()
            worker.wait()
    assert serving.error is None
    assert len(ready[fenced.stop]) == turns, "whoever is fenced beats no more"
    assert_each_once(labelled, 8)
