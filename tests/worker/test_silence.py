"""Workers that are silent for too long: others take over, they come back, nothing is lost and nobody's work undone."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from itertools import product

import pytest

from kuaixun.export import Predictions
from kuaixun.worker.delivery.promise import Guarantee
from kuaixun.worker.errors import FencedError
from kuaixun.worker.kafka.membership import GroupProtocol
from tests.worker.fake_classifier import FakeClassifier
from tests.worker.running import RunningWorker, running_worker
from tests.worker.test_contract import assert_each_once, assert_in_order, first_appearances, many
from tests.worker.topics import PARTITIONS, PATIENCE_SECONDS, Topics

Create = Callable[..., Topics]
COUNT, MORE = 200, 40
POLL_SECONDS = 6  # no less than a session lasts
# What was written before the freeze is not committed: its offsets are what may come too late.
UNCOMMITTED = ("--transaction-interval-ms", "9000", "--commit-interval-seconds", "60")


def assert_outcomes(topics: Topics, count: int) -> None:
    """Each input has its outcome in order: exactly one, or a first one under at-least-once."""
    labelled = topics.read(topics.output, count)
    firsts = first_appearances(labelled)
    assert_each_once(firsts, count)
    assert_in_order(firsts)
    assert topics.delivery is Guarantee.AT_LEAST_ONCE or len(labelled) == count
    assert topics.committed() == [count // PARTITIONS] * PARTITIONS


@contextmanager
def worker_process(topics: Topics, protocol: GroupProtocol, *more_flags: str) -> Iterator[subprocess.Popen[str]]:
    """`kuaixun-worker run`, ended by force where the test did not end it."""
    flags = topics.flags()
    if protocol is GroupProtocol.CONSUMER:  # there the session is the broker's to set
        flags = flags[: flags.index("--consumer")]
    command = [sys.executable, "-m", "kuaixun.worker.cli", "run", *flags, "--group-protocol", protocol, *more_flags]
    with subprocess.Popen([*command, "--threads", "1"], stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_workers_frozen_past_their_session_come_back_under_every_protocol_and_both_guarantees(
    kafka_topics: Create,
) -> None:
    cases = [(protocol, kafka_topics(delivery)) for protocol, delivery in product(GroupProtocol, Guarantee)]
    with ExitStack() as stack:
        frozen = [stack.enter_context(worker_process(topics, protocol, *UNCOMMITTED)) for protocol, topics in cases]
        for process, (_, topics) in zip(frozen, cases, strict=True):
            topics.write(many(COUNT))
            topics.read(topics.output, COUNT, "read_uncommitted")
            process.send_signal(signal.SIGSTOP)
            assert sum(topics.committed()) == 0
        for protocol, topics in cases:
            stack.enter_context(running_worker(topics.settings(group_protocol=protocol)))
        for _, topics in cases:
            topics.wait_for_offsets([COUNT // PARTITIONS] * PARTITIONS)
        for process in frozen:
            process.send_signal(signal.SIGCONT)
        said = [await_words(process, "lost to another member", "assigned ") for process in frozen]
        for _, topics in cases:
            topics.write(many(MORE, COUNT))
        for process in frozen:
            process.terminate()  # commits what it holds
        for process, before, (protocol, topics) in zip(frozen, said, cases, strict=True):
            _, after = process.communicate(timeout=PATIENCE_SECONDS)
            assert process.returncode == 0, (protocol, topics.delivery, before + after)
            topics.wait_for_offsets([(COUNT + MORE) // PARTITIONS] * PARTITIONS)
    for _, topics in cases:
        assert_outcomes(topics, COUNT + MORE)


def await_words(process: subprocess.Popen[str], *words: str) -> str:
    """Read what a process logs until it has said these, one after the other; all that was read."""
    assert process.stderr is not None
    waited, read = list(words), list[str]()
    while waited:
        line = process.stderr.readline()
        read.append(line)
        assert line, f"it ended without a word of {waited[0]}: {''.join(read)}"
        if waited[0] in line:
            del waited[0]
    return "".join(read)


class SleepyClassifier(FakeClassifier):
    """Takes longer over its second batch than the group waits for a member to ask for more."""

    def classify(self, texts: Sequence[str]) -> Predictions:
        if len(self.calls) == 1:
            time.sleep(1.3 * POLL_SECONDS)
        return super().classify(texts)


def test_workers_busy_for_longer_than_the_poll_interval_are_dropped_and_join_again_or_start_anew(
    kafka_topics: Create, caplog: pytest.LogCaptureFixture
) -> None:
    cases = [kafka_topics(delivery) for delivery in Guarantee]
    workers = []
    for topics in cases:
        settings = topics.settings(
            max_batch=60,
            outage_seconds=5,
            transaction_timeout_seconds=5,
            consumer={**topics.session(), "max.poll.interval.ms": str(POLL_SECONDS * 1000)},
        )
        workers.append(RunningWorker(settings, classifier=SleepyClassifier()))
        topics.write(many(COUNT))
    for worker, topics in zip(workers, cases, strict=True):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while worker.running and sum(topics.committed()) < COUNT and time.monotonic() < deadline:
            time.sleep(0.05)
        fenced = isinstance(worker.error, FencedError)
        # One that had a transaction open is fenced where the brokers have ended that by then.
        assert topics.delivery is Guarantee.EXACTLY_ONCE or not fenced
        worker.stop.request()
        worker.wait()
        assert fenced or worker.error is None, worker.error
        with running_worker(topics.settings()) if fenced else nullcontext():
            topics.wait_for_offsets([COUNT // PARTITIONS] * PARTITIONS)
        assert_outcomes(topics, COUNT)
    assert any("silent for too long" in line for line in caplog.messages)
