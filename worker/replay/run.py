"""A replay from beginning to end: open and check, read up to the end seen at the start, label, write, count."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime

from kuaixun import __version__
from kuaixun.schemas.dead_letter import DeadLetter
from kuaixun.worker.kafka.letter_source import KafkaLetterSource
from kuaixun.worker.kafka.membership import GroupProtocol
from kuaixun.worker.kafka.rights import check_rights
from kuaixun.worker.kafka.transactional_sink import KafkaTransactionalSink
from kuaixun.worker.labelling import label_batch
from kuaixun.worker.labels import Labels, Policy
from kuaixun.worker.opening import open_settings_classifier
from kuaixun.worker.records import Partition, Record
from kuaixun.worker.replay.progress import Progress
from kuaixun.worker.replay.restored import Restored
from kuaixun.worker.replay.rewriting import Rewriting
from kuaixun.worker.replay.selection import Passed, Request, Sorting
from kuaixun.worker.replay.tally import Tally
from kuaixun.worker.replay.throttle import Throttle
from kuaixun.worker.routing import Routes, Target
from kuaixun.worker.service import CLOSE_SECONDS, open_envelope
from kuaixun.worker.settings import OffsetReset, WorkerSettings
from kuaixun.worker.stop import Stop
from kuaixun.worker.streams import Mark

LOG = logging.getLogger(__name__)

IDLE_SECONDS = 0.1
GATHER_SECONDS = 0.05
GROUP_SUFFIX = ".replay"
TRANSACTIONAL_ID_SUFFIX = "-replay"
REFUSED = {Passed.CUT, Passed.UNREADABLE}


def replay_settings(settings: WorkerSettings) -> WorkerSettings:
    """The worker's settings for a replay: a group of its own for progress, and one name for all replays of it."""
    return settings.model_copy(
        update={
            "group_id": settings.group_id + GROUP_SUFFIX,
            "group_protocol": GroupProtocol.EAGER,
            "transactional_id": settings.group_id + TRANSACTIONAL_ID_SUFFIX,
            # Letters that retention takes away in the midst of it are gone, and no reason to stop.
            "auto_offset_reset": OffsetReset.EARLIEST,
        }
    )


def run_replay(settings: WorkerSettings, request: Request, stop: Stop, classifier: Labels | None = None) -> Tally:
    """Replay until the end seen at the start, or until `stop` is requested. Blocks; raises WorkerErrors.

    A classifier that is open already takes the place of the bundle that the settings name.
    """
    settings = replay_settings(settings)
    with ExitStack() as closing:
        source = KafkaLetterSource(settings, settings.dead_letter_topic)
        closing.callback(source.close, CLOSE_SECONDS)
        classifier = classifier or open_settings_classifier(settings)
        routes = Routes(
            labelled=Target(settings.output_topic, source.partition_count(settings.output_topic)),
            dead_letters=Target(settings.dead_letter_topic, source.partition_count(settings.dead_letter_topic)),
            partitioning=settings.partitioning,
            envelope=open_envelope(settings),
        )
        rewriting = None
        if not request.dry_run:
            sink = KafkaTransactionalSink(settings)
            rewriting = Rewriting(
                source,
                sink,
                routes,
                outage_seconds=settings.outage_seconds,
                transaction_timeout_seconds=settings.transaction_timeout_seconds,
                stop=stop,
                worker_version=__version__,
            )
            closing.callback(rewriting.leave)
            # The producer may have credentials of its own.
            sink.partition_count(settings.output_topic)
        letters = settings.dead_letter_topic
        check_rights(settings, reads=[letters], writes=() if request.dry_run else (settings.output_topic, letters))
        return _Replay(settings, request, stop, source, rewriting, classifier).run()


class _Replay:
    """One run. Without a `rewriting` it is a dry one."""

    def __init__(
        self,
        settings: WorkerSettings,
        request: Request,
        stop: Stop,
        source: KafkaLetterSource,
        rewriting: Rewriting | None,
        classifier: Labels,
    ) -> None:
        self._settings, self._request, self._stop = settings, request, stop
        self._source, self._rewriting, self._classifier = source, rewriting, classifier
        self._sorting = Sorting(request.selection, settings.input_topic)
        self._policy = Policy(
            confidence_threshold=settings.confidence_threshold,
            top_scores=settings.top_scores,
            worker_version=__version__,
        )
        self._tally = Tally(dry_run=rewriting is None)
        self._progress: dict[Partition, Progress] = {}
        self._positions: dict[Partition, int] = {}
        self._chunk: list[Restored] = []
        self._throttle = Throttle(request.letters_per_second, stop)
        self._chunk_limit = self._throttle.at_once(settings.max_batch)

    def run(self) -> Tally:
        """See run_replay."""
        # In this order: what an earlier replay has open ends before anyone asks how far it came.
        partitions = frozenset(self._source.bounds())
        marks = self._rewriting.take_over(partitions) if self._rewriting else self._source.marks(partitions)
        bounds = self._source.bounds()
        self._begin(bounds, marks)
        unfinished = {partition: offsets.stop for partition, offsets in bounds.items() if offsets}
        LOG.info("reading %d dead letters at most", sum(map(len, bounds.values())))
        self._source.read({partition: bounds[partition].start for partition in unfinished})
        while unfinished:
            for record in self._source.batch(self._settings.max_batch, GATHER_SECONDS, IDLE_SECONDS):
                if self._stop.requested:
                    break
                partition = Partition(record.topic, record.partition)
                if record.offset < unfinished.get(partition, 0):
                    self._take(partition, record)
            if self._stop.requested:
                break
            for partition, end in list(unfinished.items()):
                if max(self._source.reached.get(partition, 0), self._positions.get(partition, 0)) >= end:
                    self._positions[partition] = end
                    del unfinished[partition]
        self._write()
        self._tally.complete = not unfinished
        return self._tally

    def _begin(self, bounds: Mapping[Partition, range], marks: Mapping[Partition, Mark]) -> None:
        for partition, offsets in bounds.items():
            mark = marks.get(partition)
            if mark is not None and mark.offset > offsets.stop:
                LOG.warning("%s was made anew since the last replay; what that did counts no more", partition)
            self._progress[partition] = Progress(partition, offsets, mark, self._request.selection.reasons)

    def _take(self, partition: Partition, record: Record) -> None:
        """One letter: into the chunk, or into the tally."""
        self._tally.read += 1
        sorted_as = self._sorting.sort(record, self._progress[partition])
        self._positions[partition] = record.offset + 1
        if isinstance(sorted_as, DeadLetter):
            self._chunk.append(Restored.of(sorted_as, record.timestamp_ms))
            if len(self._chunk) >= self._chunk_limit:
                self._write()
            return
        self._tally.passed[sorted_as] += 1
        if sorted_as in REFUSED:
            LOG.warning("%s@%d is refused: %s", partition, record.offset, sorted_as)

    def _write(self) -> None:
        """Label what has gathered, and commit it with the progress made."""
        chunk, self._chunk = self._chunk, []
        self._throttle.wait(len(chunk))
        received_at = _now()
        outcomes = label_batch(
            [letter.record for letter in chunk], self._classifier, self._policy, received_at=received_at, clock=_now
        )
        written = [letter.counted(outcome) for letter, outcome in zip(chunk, outcomes, strict=True)]
        if self._rewriting:
            marks = {partition: self._progress[partition].mark(at) for partition, at in self._positions.items()}
            written = self._rewriting.write(chunk, written, marks)
        self._tally.add(written)


def _now() -> datetime:
    return datetime.now(UTC)
