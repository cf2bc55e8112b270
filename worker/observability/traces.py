"""Traces by OpenTelemetry's conventions for messaging: three spans a batch, linked to those of its producers.

    poll INPUT        CLIENT     from asking the brokers until the batch is there
    process INPUT     CONSUMER   decode, classify, encode, and hand over to the producer
    send OUTPUT       CLIENT     from there until the brokers have confirmed every outcome

The conventions: https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/. What a headline's producer
wrote into its headers is carried through unchanged, so that whoever reads the outcome links to the same span.

The spans are made afterwards, out of the loop's own times: while a batch is at work nothing is done for them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from uuid import uuid4

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.semconv._incubating.attributes import messaging_attributes as messaging
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.util.types import Attributes

from kuaixun import __version__
from kuaixun.schemas.dead_letter import Header
from kuaixun.worker.observability.under_way import UnderWay
from kuaixun.worker.outcomes import Outcomes
from kuaixun.worker.records import Record
from kuaixun.worker.settings import WorkerSettings
from kuaixun.worker.witness import Handled

SERVICE = "kuaixun-worker"
MOST_LINKS = 128  # of a span; OpenTelemetry's own limit
MOST_LOOKED_AT = 1024  # records of a batch whose headers are searched for contexts
CLOSE_SECONDS = 2.0  # for the last spans, which nobody waits for longer

MODEL_ID = "kuaixun.model.id"
DEAD_LETTERS = "kuaixun.dead_letters"


def provider() -> TracerProvider:
    """What sends spans off by OTLP, in the background; OpenTelemetry's own environment says where to, and how many."""
    named = Resource({"service.name": SERVICE, "service.version": __version__, "service.instance.id": str(uuid4())})
    spans = TracerProvider(resource=Resource.create().merge(named).merge(OTELResourceDetector().detect()))
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return spans


class Traces:
    """Told of batches by the loop's thread; `monotonic` is the loop's clock, `wall_ns` the one that spans tell."""

    def __init__(
        self,
        settings: WorkerSettings,
        spans: TracerProvider,
        model_id: Callable[[], str],
        monotonic: Callable[[], float] = time.monotonic,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._spans, self._model_id = spans, model_id
        self._tracer = spans.get_tracer("kuaixun.worker", __version__)
        self._monotonic, self._wall_ns = monotonic, wall_ns
        self._input, self._output = settings.input_topic, settings.output_topic
        self._reading = {messaging.MESSAGING_CONSUMER_GROUP_NAME: settings.group_id}
        self._under_way: UnderWay[Span] = UnderWay()

    def handled(self, batch: Handled) -> None:
        """A batch is labelled and sent."""
        count = len(batch.records)
        poll = self._start("poll", "receive", self._input, count, SpanKind.CLIENT, batch.began_at, Context())
        poll.set_attributes(self._reading)
        process = self._start("process", "process", self._input, count, SpanKind.CONSUMER, batch.read_at, _within(poll))
        process.set_attributes(self._reading)
        send = self._start("send", "send", self._output, count, SpanKind.CLIENT, batch.sent_at, _within(process))
        if poll.is_recording():
            for context, attributes in _contexts(batch.records):
                poll.add_link(context, attributes)
                process.add_link(context, attributes)
        if process.is_recording():
            process.set_attribute(MODEL_ID, self._model_id())
            process.set_attribute(DEAD_LETTERS, sum(1 for _ in Outcomes.of(batch.outcomes).dead_letters()))
        poll.end(self._at(batch.read_at))
        process.end(self._at(batch.sent_at))
        self._under_way.sent(batch.records, send)

    def confirmed(self, records: Sequence[Record]) -> None:
        """A batch is confirmed."""
        send, undone = self._under_way.landed(records)
        _fail(undone)
        if send is not None:
            send.end(self._wall_ns())

    def close(self) -> None:
        """Send off what is left, as far as that is quick."""
        _fail(self._under_way.rest())
        closing = threading.Thread(target=self._spans.shutdown, name="last-spans", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)

    def _start(
        self, operation: str, kind: str, topic: str, count: int, span_kind: SpanKind, at: float, parent: Context
    ) -> Span:
        return self._tracer.start_span(
            f"{operation} {topic}",
            parent,
            span_kind,
            {
                messaging.MESSAGING_SYSTEM: "kafka",
                messaging.MESSAGING_OPERATION_NAME: operation,
                messaging.MESSAGING_OPERATION_TYPE: kind,
                messaging.MESSAGING_DESTINATION_NAME: topic,
                messaging.MESSAGING_BATCH_MESSAGE_COUNT: count,
            },
            start_time=self._at(at),
        )

    def _at(self, monotonic: float) -> int:
        """A time of the loop's as spans tell it, in nanoseconds."""
        return self._wall_ns() - round((self._monotonic() - monotonic) * 1e9)


class _Headers(Getter[tuple[Header, ...]]):
    """How OpenTelemetry reads a record's headers; of several of a name the last counts."""

    def get(self, carrier: tuple[Header, ...], key: str) -> list[str] | None:
        """The values of a header."""
        found = [content for name, content in carrier if content is not None and name.lower() == key]
        return [found[-1].decode("ascii", "replace")] if found else None

    def keys(self, carrier: tuple[Header, ...]) -> list[str]:
        """The headers' names."""
        return [name for name, _ in carrier]


_HEADERS = _Headers()


def _contexts(records: Sequence[Record]) -> Iterator[tuple[SpanContext, Attributes]]:
    """The spans that a batch's records come from, each once, with its first record's place; MOST_LINKS at most."""
    seen: set[tuple[int, int]] = set()
    for record in islice(records, MOST_LOOKED_AT):
        if not record.headers:
            continue
        found = propagate.extract(record.headers, Context(), _HEADERS)
        context = trace.get_current_span(found).get_span_context()
        if not context.is_valid or (context.trace_id, context.span_id) in seen:
            continue
        seen.add((context.trace_id, context.span_id))
        yield (
            context,
            {
                messaging.MESSAGING_DESTINATION_PARTITION_ID: str(record.partition),
                messaging.MESSAGING_KAFKA_OFFSET: record.offset,
            },
        )
        if len(seen) == MOST_LINKS:
            return


def _within(parent: Span) -> Context:
    return trace.set_span_in_context(parent, Context())


def _fail(spans: Sequence[Span]) -> None:
    for span in spans:
        span.set_status(Status(StatusCode.ERROR, "not confirmed: undone, or the worker left before"))
        span.set_attribute("error.type", "unconfirmed")
        span.end()
