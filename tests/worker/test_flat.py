"""Memory and file descriptors stay flat, however many headlines pass and however often a model follows another."""

from __future__ import annotations

import gc
import os
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from kuaixun.export import open_classifier
from kuaixun.export.bundle.file_names import WEIGHTS_FILE
from kuaixun.worker.delivery.at_least_once import AtLeastOnce
from kuaixun.worker.delivery.exactly_once import ExactlyOnce
from kuaixun.worker.delivery.promise import Delivery, Guarantee, Pace
from kuaixun.worker.labels import Policy
from kuaixun.worker.loop import AHEAD, Loop
from kuaixun.worker.messages import Outgoing
from kuaixun.worker.records import Partition, Record, Records
from kuaixun.worker.reload import Reloads, Succession
from kuaixun.worker.routing import Routes, Target
from kuaixun.worker.stop import Stop
from kuaixun.worker.streams import NO_NOTES, QueueFullError, RefusedError, Report
from tests.worker.bundles import copied_bundle, renamed_bundle, turn
from tests.worker.fake_classifier import FakeClassifier
from tests.worker.one_by_one import OneByOne

BATCH = 1000
WARM_BATCHES, BATCHES = 40, 240
MOST_GROWTH = 1.05
RELOADS = 8
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES


def open_files() -> int:
    """But for connections: none is made here, and clients of other tests in this process may come and go."""
    count = 0
    for file in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the listing itself
            count += not str(file.readlink()).startswith("socket:")
    return count


class Endless:
    """Batches without end, in which every hundredth record is poison and another a tombstone."""

    joined = True

    def __init__(self, stop: Stop) -> None:
        self._stop, self._batches = stop, 0
        self._shown: deque[Records] = deque()
        self._position = 0
        self.after_warming = self.at_the_end = (0, 0)

    def batch(self, max_records: int, max_delay_seconds: float, idle_seconds: float) -> Records:
        self._batches += 1
        if self._batches == WARM_BATCHES:
            self.after_warming = resident_bytes(), open_files()
        if self._batches == BATCHES:
            self.at_the_end = resident_bytes(), open_files()
            self._stop.request()
        return self._shown.popleft() if self._shown else self._read(max_records)

    def upcoming(self, max_records: int) -> Records:
        if len(self._shown) >= AHEAD:
            return Records()
        self._shown.append(self._read(max_records))
        return self._shown[-1]

    def _read(self, max_records: int) -> Records:
        begin, self._position = self._position, self._position + max_records
        return Records.of([self._record(offset) for offset in range(begin, self._position)])

    def _record(self, offset: int) -> Record:
        value: bytes | None = b'{"id": "%d", "title": "headline %d"}' % (offset, offset)
        if offset % 100 == 0:
            value = b"{"
        elif offset % 100 == 1:
            value = None
        return Record("raw", offset % 4, offset, b"k", value, (("trace", b"%d" % offset),))

    def stay(self, max_records: int) -> None:
        """Nobody else is in the group."""

    def commit(self, offsets: Mapping[Partition, int], *, last_chance: bool = False) -> None:
        """Nobody asks."""

    def rewind(self, offsets: Mapping[Partition, int]) -> None:
        raise AssertionError(offsets)

    def committed(self, partitions: frozenset[Partition], timeout_seconds: float) -> Mapping[Partition, int]:
        raise AssertionError(partitions)

    def member(self) -> bytes:
        return b""

    def close(self, timeout_seconds: float) -> bool:
        return True


class Brisk(OneByOne):
    """Takes half a batch before it is full, and confirms what it has when it is polled; some it refuses."""

    def __init__(self) -> None:
        self._reports: list[Report] = []

    def send(self, message: Outgoing, report: Report) -> None:
        if len(self._reports) >= BATCH // 2:
            raise QueueFullError
        if message.topic == "labelled" and message.headers[0][1] == b"77":
            raise RefusedError("not this one")
        self._reports.append(report)

    def poll(self, timeout_seconds: float) -> None:
        reports, self._reports = self._reports, []
        for report in reports:
            report(None)

    @property
    def waiting(self) -> int:
        return len(self._reports)

    def flush(self, timeout_seconds: float) -> bool:
        self.poll(timeout_seconds)
        return True

    def begin(self) -> None:
        """There is nothing to open."""

    def commit(
        self,
        offsets: Mapping[Partition, int],
        member: bytes,
        timeout_seconds: float,
        notes: Mapping[Partition, str] = NO_NOTES,
    ) -> None:
        """Nobody reads it."""

    def abort(self, timeout_seconds: float) -> None:
        raise AssertionError

    renew = abort

    def close(self, timeout_seconds: float) -> None:
        """There is nothing to close."""


@pytest.mark.parametrize("guarantee", Guarantee)
def test_memory_and_files_stay_flat_over_hundreds_of_thousands_of_headlines(guarantee: Guarantee) -> None:
    stop = Stop(3600.0)
    source, sink = Endless(stop), Brisk()
    pace = Pace(
        max_batch=BATCH,
        max_delay_seconds=0,
        max_in_flight=4,
        commit_interval_seconds=0,
        revoke_budget_seconds=5,
        transaction_interval_seconds=0.01,
    )
    routes = Routes(Target("labelled", 4), Target("dead", 4))
    kind = AtLeastOnce if guarantee is Guarantee.AT_LEAST_ONCE else ExactlyOnce
    delivery: Delivery = kind(source, sink, routes=routes, pace=pace, stop=stop, worker_version="1")
    policy = Policy(confidence_threshold=0, top_scores=3, worker_version="1")
    Loop(source, FakeClassifier(), delivery, policy=policy, pace=pace, stop=stop).run()
    warm, end = source.after_warming, source.at_the_end
    assert delivery.counts.labelled > 0.9 * BATCH * BATCHES
    assert end[0] <= MOST_GROWTH * warm[0], f"grew from {warm[0]:,} to {end[0]:,} bytes"
    assert end[1] <= warm[1]


def test_memory_and_files_stay_flat_over_many_models(tmp_path: Path) -> None:
    copied_bundle(tmp_path / "0")
    labels = open_classifier(tmp_path / "0").labels
    renamed_bundle(tmp_path / "1", [f"{label}2" for label in labels])
    current = tmp_path / "current"
    turn(current, tmp_path / "0")
    reloads = Reloads()
    succession = Succession(
        open_classifier(current),
        current,
        current.resolve(),
        lambda: open_classifier(current),
        reloads,
        changed_labels_allowed=True,
    )
    measured = []
    for number in range(1, RELOADS + 1):
        turn(current, tmp_path / str(number % 2))
        succession.look()
        serving = succession.successor()
        assert serving is not None
        serving.classify(["央行降准"])
        del serving
        measured.append((resident_bytes(), open_files()))
    warm, end = measured[1], measured[-1]
    assert reloads.taken_up == RELOADS
    # A model that stays takes more than twice its file; what the allocator keeps of some is less than half of that.
    file_bytes = (tmp_path / "0" / WEIGHTS_FILE).stat().st_size
    assert end[0] - warm[0] < (RELOADS - 2) * file_bytes, f"grew from {warm[0]:,} to {end[0]:,} bytes"
    assert end[1] <= warm[1]
