"""The worker put together: bundle, engine, both clients and topics, checked in this order, then the loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass

from kuaixun import __version__
from kuaixun.export import Classifier
from kuaixun.worker.dead_letter_limit import DeadLetterLimit, Limits
from kuaixun.worker.delivery.at_least_once import AtLeastOnce
from kuaixun.worker.delivery.exactly_once import ExactlyOnce
from kuaixun.worker.delivery.promise import Counts, Delivery, Guarantee, Observer, Pace
from kuaixun.worker.envelope import Envelope, EventFormat, cloud_events, numbered
from kuaixun.worker.errors import BrokerUnreachableError, TopicMissingError, WorkerError
from kuaixun.worker.kafka.client_defaults import client_version
from kuaixun.worker.kafka.rights import check_rights
from kuaixun.worker.kafka.sink import KafkaSink
from kuaixun.worker.kafka.source import KafkaSource
from kuaixun.worker.kafka.transactional_sink import KafkaTransactionalSink
from kuaixun.worker.labels import Labels, Policy
from kuaixun.worker.loop import Loop
from kuaixun.worker.opening import Opening, open_settings_classifier
from kuaixun.worker.outcomes import Outcome
from kuaixun.worker.records import Record
from kuaixun.worker.reload import Reloads, Succession
from kuaixun.worker.routing import Routes, Target
from kuaixun.worker.settings import WorkerSettings
from kuaixun.worker.stop import EarlyStop, Stop, StoppedEarlyError
from kuaixun.worker.witness import Nobody, Parts, Witness

LOG = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0
BY_BATCH = "which hands over and takes a batch in one call"
BY_MESSAGE = "message by message, at about half the speed: it takes no plugins, or kuaixun is built without C++"


@dataclass(frozen=True, slots=True)
class Station:
    """What a worker needs, checked and open. Nothing is consumed yet, and the group not joined."""

    classifier: Labels
    source: KafkaSource
    sink: KafkaSink
    routes: Routes

    def close(self, timeout_seconds: float) -> None:
        """Close both clients."""
        self.sink.close(timeout_seconds)
        self.source.close(timeout_seconds)


def open_station(
    settings: WorkerSettings,
    say: Callable[[str, str], None],
    classifier: Labels | None = None,
    look: Callable[[], None] = lambda: None,
    opening: Opening | None = None,
    reaching: Callable[[Callable[[], float]], None] = lambda _outage_seconds: None,
) -> Station:
    """Open and check everything; `say` is told what was found, line by line. Raises WorkerErrors.

    A classifier that is open already takes the place of the bundle that the settings name, of which `opening` may have
    begun. `look` is called between waits, and may raise to end them. `reaching` is told, before the brokers are asked,
    what says how long they have not answered.
    """
    say("settings", f"group {settings.group_id}, properties passed through: {settings.shown_properties()}")
    exactly_once = settings.delivery is Guarantee.EXACTLY_ONCE
    if settings.transactional_id and not exactly_once:
        say("delivery", f"{settings.delivery.value}, to which KUAIXUN_TRANSACTIONAL_ID is of no effect")
    opening = None if classifier is not None else opening or Opening(settings)
    look_at_all = look if opening is None else opening.looking_too(look)
    with ExitStack() as undo:
        # Before the bundle, for a property that librdkafka does not know is a wrong setting like any other.
        source = KafkaSource(settings, look=look_at_all)
        undo.callback(source.close, CLOSE_SECONDS)
        sink = (KafkaTransactionalSink if exactly_once else KafkaSink)(settings, look_at_all)
        undo.callback(sink.close, CLOSE_SECONDS)
        by_batch = BY_BATCH if source.by_batch and sink.by_batch else BY_MESSAGE
        say("client", f"librdkafka {client_version()}, {by_batch}")
        reaching(lambda: max(source.outage_seconds, sink.outage_seconds))
        lines, counts, failure = list[tuple[str, str]](), dict[str, int](), None
        try:
            counts = _ask_the_brokers(settings, source, sink, lambda *line: lines.append(line), look_at_all)
        except WorkerError as error:
            failure = error
        if opening is not None:
            # What is wrong with the bundle is told rather than what is wrong with the brokers.
            opened = classifier = opening.result()
            say("bundle", f"{opened.bundle.path}, every file and golden case right")
            say("engine", opened.engine.name)
        assert classifier is not None  # noqa: S101 - it was given, or opened
        say("model", f"{classifier.model_id}, {len(classifier.labels)} labels: {', '.join(classifier.labels)}")
        for line in lines:
            say(*line)
        if failure is not None:
            raise failure
        envelope = open_envelope(settings, say, look)
        undo.pop_all()
    routes = Routes(
        labelled=Target(settings.output_topic, counts[settings.output_topic]),
        dead_letters=Target(settings.dead_letter_topic, counts[settings.dead_letter_topic]),
        partitioning=settings.partitioning,
        envelope=envelope,
    )
    return Station(classifier, source, sink, routes)


def open_envelope(
    settings: WorkerSettings,
    say: Callable[[str, str], None] = lambda _what, _found: None,
    look: Callable[[], None] = lambda: None,
) -> Envelope:
    """What labelled events travel in by the settings. Asks the registry, if one is named; raises WorkerErrors.

    `look` is called between waits, and may raise to end them.
    """
    schema = None
    if settings.registry:
        from kuaixun.worker.kafka.schema_registry import registered_schema

        schema = registered_schema(settings, look)
        say("schema", f"{schema.subject} has number {schema.number} at {schema.address}")
    if settings.event_format is EventFormat.CLOUDEVENTS:
        source = settings.cloudevents_source or f"kuaixun/{settings.input_topic}"
        return cloud_events(source, settings.cloudevents_type, schema.address if schema is not None else None)
    return numbered(schema.number) if schema is not None else Envelope()


def _ask_the_brokers(
    settings: WorkerSettings,
    source: KafkaSource,
    sink: KafkaSink,
    say: Callable[[str, str], None],
    look: Callable[[], None],
) -> dict[str, int]:
    """How many partitions each topic has. Raises WorkerErrors where one, the brokers or a right is missing."""
    counts, missing = dict[str, int](), list[TopicMissingError]()
    for topic in (settings.input_topic, settings.output_topic, settings.dead_letter_topic):
        try:
            counts[topic] = source.partition_count(topic)
        except TopicMissingError as error:
            missing.append(error)
        else:
            say("topic", f"{topic}, {counts[topic]} partitions")
    if missing:
        raise TopicMissingError(" ".join(map(str, missing)))
    # The producer may have credentials of its own.
    sink.partition_count(settings.output_topic)
    say("brokers", f"{settings.bootstrap_servers} answer the consumer and the producer")
    writes = (settings.output_topic, settings.dead_letter_topic)
    told = check_rights(settings, reads=[settings.input_topic], writes=writes, look=look)
    say("rights", "to read, to write and of the group are granted" if told else "the brokers do not say")
    return counts


def run_worker(
    settings: WorkerSettings,
    stop: Stop,
    *,
    classifier: Labels | None = None,
    observer: Observer | None = None,
    reloads: Reloads | None = None,
    turned: Callable[[bool], None] = lambda _ready: None,
    witness: Witness | None = None,
    opening: Opening | None = None,
) -> Counts:
    """Check everything, then label until `stop` is requested. Blocks; raises the WorkerError that ended it.

    A stop while it checks ends it at once, with nothing counted.

    A `classifier` that is open already takes the place of the settings' bundle, and is not reloaded; of that bundle
    `opening` may have begun.
    `turned` is told of every turn of the loop; see Loop. A `witness` is told of everything.
    """
    reloads = reloads or Reloads()
    limits = Limits(settings.dead_letter_ratio, settings.dead_letter_window, settings.dead_letters_in_a_row)
    limit = DeadLetterLimit(limits, stop)
    told: Witness = witness or Nobody()
    observers: list[Observer] = [limit, told.confirmed, *([observer] if observer is not None else [])]

    def observe(records: Sequence[Record], outcomes: Sequence[Outcome]) -> None:
        for one in observers:
            one(records, outcomes)

    def tell(joined: bool) -> None:
        turned(joined)
        told.turned(joined)

    try:
        whole = _put_together(settings, stop, classifier, observe, reloads, tell, told, opening)
    except (StoppedEarlyError, BrokerUnreachableError) as error:
        if not stop.requested:
            raise
        LOG.info("told to leave before there was anything to finish. %s", error)
        return Counts()
    told.begin(Parts(whole.source, whole.sink, whole.delivery, reloads, limit))
    try:
        with whole.succession.watching(stop) if whole.succession is not None else nullcontext():
            whole.loop.run()
    finally:
        counts = whole.delivery.counts
        LOG.info(
            "consumed %d, labelled %d, dead-lettered %d, tombstones %d, models taken up %d, refused %d",
            *(counts.consumed, counts.labelled, counts.dead_lettered.total(), counts.tombstones),
            *(reloads.taken_up, reloads.refused),
            extra={
                "consumed": counts.consumed,
                "labelled": counts.labelled,
                "dead_lettered": {reason.value: count for reason, count in counts.dead_lettered.items()},
                "tombstones": counts.tombstones,
            },
        )
    if limit.error is not None:
        raise limit.error
    return whole.delivery.counts


@dataclass(frozen=True, slots=True)
class _Whole:
    """A loop that has joined the group, and its parts but for the model: that is to leave the memory with its time."""

    loop: Loop
    delivery: Delivery
    source: KafkaSource
    sink: KafkaSink
    succession: Succession | None


def _put_together(
    settings: WorkerSettings,
    stop: Stop,
    classifier: Labels | None,
    observer: Observer,
    reloads: Reloads,
    turned: Callable[[bool], None],
    witness: Witness,
    opening: Opening | None,
) -> _Whole:
    """All of a worker, the group joined."""
    look = EarlyStop(stop)
    station = open_station(
        settings, lambda what, found: LOG.info("%s: %s", what, found), classifier, look, opening, witness.reaching
    )
    policy = Policy(
        confidence_threshold=settings.confidence_threshold,
        top_scores=settings.top_scores,
        worker_version=__version__,
    )
    pace = Pace(
        max_batch=settings.max_batch,
        max_delay_seconds=settings.max_delay_ms / 1000,
        latency_target_seconds=settings.latency_target_ms / 1000,
        max_in_flight=settings.max_in_flight,
        commit_interval_seconds=settings.commit_interval_seconds,
        revoke_budget_seconds=settings.revoke_budget_seconds,
        transaction_interval_seconds=settings.transaction_interval_ms / 1000,
        transaction_timeout_seconds=settings.transaction_timeout_seconds,
        outage_seconds=settings.outage_seconds,
    )
    delivery = _delivery(station, settings.connect_seconds, pace, stop, observer)
    look.over = True
    succession = None if classifier is not None else _succession(settings, station.classifier, reloads)
    station.source.subscribe(delivery)
    LOG.info(
        *("reading %s as group %s", settings.input_topic, settings.group_id),
        extra={"topic": settings.input_topic, "group": settings.group_id, "model": station.classifier.model_id},
    )

    def successor() -> Labels | None:
        model = succession.successor() if succession is not None else None
        return witness.take_up(model) if model is not None else None

    loop = Loop(
        station.source,
        witness.take_up(station.classifier),
        delivery,
        policy=policy,
        pace=pace,
        stop=stop,
        successor=successor,
        handled=witness.handled,
        turned=turned,
    )
    return _Whole(loop, delivery, station.source, station.sink, succession)


def _succession(settings: WorkerSettings, serving: Labels, reloads: Reloads) -> Succession | None:
    """What follows the bundle that the settings name, None where the classifier is not from there."""
    if not isinstance(serving, Classifier):
        return None
    return Succession(
        serving,
        settings.bundle or serving.bundle.path,
        serving.bundle.path,
        lambda: open_settings_classifier(settings),
        reloads,
        changed_labels_allowed=settings.changed_labels_allowed,
    )


def _delivery(station: Station, connect_seconds: float, pace: Pace, stop: Stop, observer: Observer) -> Delivery:
    """The guarantee that the station's producer was made for."""
    source, sink = station.source, station.sink
    if not isinstance(sink, KafkaTransactionalSink):
        return AtLeastOnce(
            source, sink, routes=station.routes, pace=pace, stop=stop, worker_version=__version__, observer=observer
        )
    # Not in `open_station`: it ends what another worker of the same name has open, and `check` must not.
    try:
        sink.renew(connect_seconds)
    except (WorkerError, StoppedEarlyError):
        station.close(CLOSE_SECONDS)
        raise
    # Whoever finds a transaction of a killed worker's open looks for its name here.
    name = sink.transactional_id
    LOG.info("writing in transactions as %s", name, extra={"transactional_id": name})
    return ExactlyOnce(
        source, sink, routes=station.routes, pace=pace, stop=stop, worker_version=__version__, observer=observer
    )
