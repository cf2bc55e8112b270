"""Three spans a batch, linked to the producers' own, and nothing of it where nobody asks."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from kuaixun.schemas.dead_letter import DeadLetterReason
from kuaixun.worker import cli
from kuaixun.worker.errors import SettingError
from kuaixun.worker.labelling import dead_letter
from kuaixun.worker.observability import traces
from kuaixun.worker.observability.observatory import Observatory
from kuaixun.worker.observability.routes import Request, Response
from kuaixun.worker.observability.server import HttpServer
from kuaixun.worker.observability.traces import Traces
from kuaixun.worker.observability.watching import watched
from kuaixun.worker.outcomes import TOMBSTONE
from kuaixun.worker.records import Record
from kuaixun.worker.settings import WorkerSettings, read_settings
from kuaixun.worker.stop import Stop
from kuaixun.worker.witness import Handled
from tests.worker.running import running_worker
from tests.worker.test_contract import headers_of, news, record
from tests.worker.test_loop import Clock
from tests.worker.topics import PATIENCE_SECONDS, Topics

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECOND_NS = 1_000_000_000


class Traced:
    """Traces that are kept in memory; the clock stands at 100 s, which is 1000 s of the wall's."""

    def __init__(self, settings: WorkerSettings | None = None) -> None:
        self.clock = Clock(100.0)
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.traces = Traces(
            settings or read_settings({}), self.provider, lambda: "m", self.clock, lambda: round(self.clock() * 1e9)
        )

    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name.split()[0]: span for span in self.exporter.get_finished_spans()}


def traced_record(offset: int, traceparent: str | None, *more: tuple[str, bytes | None]) -> Record:
    headers = () if traceparent is None else (("traceparent", traceparent.encode()),)
    return Record("news.raw", 2, offset, None, b"", (*headers, *more))


def handled(records: Sequence[Record]) -> Handled:
    dead = dead_letter(records[0], DeadLetterReason.INVALID_JSON, "no", "0")
    return Handled(records, [dead, *[TOMBSTONE] * (len(records) - 1)], 90.0, 91.0, 92.0, 93.0)


def attributes_of(span: ReadableSpan) -> Mapping[str, object]:
    assert span.attributes is not None
    return span.attributes


def test_a_batch_is_three_spans_by_the_conventions_for_messaging() -> None:
    traced = Traced()
    records = [traced_record(7, PARENT), traced_record(8, None)]
    traced.traces.handled(handled(records))
    traced.traces.confirmed(records)
    spans = traced.spans()
    assert {span.name: span.kind for span in spans.values()} == {
        "poll news.raw": SpanKind.CLIENT,
        "process news.raw": SpanKind.CONSUMER,
        "send news.labelled": SpanKind.CLIENT,
    }
    poll, process, send = spans["poll"], spans["process"], spans["send"]
    assert poll.parent is None
    assert process.parent == poll.context
    assert send.parent == process.context
    assert [(span.start_time, span.end_time) for span in (poll, process, send)] == [
        (90 * SECOND_NS, 91 * SECOND_NS),
        (91 * SECOND_NS, 93 * SECOND_NS),
        (93 * SECOND_NS, 100 * SECOND_NS),
    ]
    of_all = {"messaging.system": "kafka", "messaging.batch.message_count": 2}
    of_reading = {"messaging.destination.name": "news.raw", "messaging.consumer.group.name": "kuaixun-worker"}
    assert attributes_of(poll) == {
        **of_all,
        **of_reading,
        "messaging.operation.name": "poll",
        "messaging.operation.type": "receive",
    }
    assert attributes_of(process) == {
        **of_all,
        **of_reading,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "kuaixun.model.id": "m",
        "kuaixun.dead_letters": 1,
    }
    assert attributes_of(send) == {
        **of_all,
        "messaging.destination.name": "news.labelled",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
    }


def test_reading_spans_link_to_the_span_that_each_headline_comes_from() -> None:
    traced = Traced()
    again = traced_record(9, PARENT)
    state = traced_record(8, PARENT.replace("b7ad", "b7ae"), ("tracestate", b"vendor=1"))
    traced.traces.handled(handled([traced_record(7, PARENT), state, again]))
    for name in ("poll", "process"):
        links = traced.spans()[name].links
        assert [f"{link.context.span_id:016x}" for link in links] == ["b7ad6b7169203331", "b7ae6b7169203331"]
        assert {f"{link.context.trace_id:032x}" for link in links} == {"0af7651916cd43dd8448eb211c80319c"}
        assert links[0].attributes == {"messaging.destination.partition.id": "2", "messaging.kafka.offset": 7}
        assert links[1].context.trace_state.get("vendor") == "1"


def test_links_are_bounded_whatever_a_batch_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "MOST_LINKS", 5)
    traced = Traced()
    parents = [PARENT.replace("b7ad", f"{number:04x}") for number in range(1, 2000)]
    traced.traces.handled(handled([traced_record(n, parent) for n, parent in enumerate(parents)]))
    assert len(traced.spans()["process"].links) == 5
    monkeypatch.setattr(traces, "MOST_LOOKED_AT", 3)
    traced.traces.handled(handled([traced_record(n, parent) for n, parent in enumerate(parents)]))
    assert len(traced.spans()["process"].links) == 3


@pytest.mark.parametrize(
    "header", [b"", b"\xff\xfe", b"00-0-0-00", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01", None]
)
def test_a_header_that_is_no_context_is_no_link(header: bytes | None) -> None:
    traced = Traced()
    traced.traces.handled(handled([Record("news.raw", 0, 1, None, b"", (("traceparent", header), ("x", b"y")))]))
    assert traced.spans()["poll"].links == ()


def test_a_batch_that_is_undone_ends_as_an_error_and_so_does_one_that_is_left() -> None:
    traced = Traced()
    undone, done, left = ([traced_record(n, None)] for n in range(3))
    for records in (undone, done, left):
        traced.traces.handled(handled(records))
    traced.traces.confirmed(done)
    traced.traces.close()
    sends = [span for span in traced.exporter.get_finished_spans() if span.name.startswith("send")]
    assert [span.status.status_code for span in sends] == [StatusCode.ERROR, StatusCode.UNSET, StatusCode.ERROR]
    assert attributes_of(sends[0])["error.type"] == "unconfirmed"


def test_a_workers_spans_link_to_its_producers_and_the_headers_go_on_unchanged(embedded_bootstrap: str) -> None:
    topics = Topics.create(embedded_bootstrap, real=False)
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    topics.write([record(0, news("n0", "新闻"), headers=(("traceparent", PARENT.encode()),))])
    with running_worker(topics.settings(), witness=lambda stop: Observatory(topics.settings(), stop, 3600.0, provider)):
        (labelled,) = topics.read(topics.output, 1)
    assert headers_of(labelled) == [("traceparent", PARENT.encode())]
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert set(spans) == {f"poll {topics.input}", f"process {topics.input}", f"send {topics.output}"}
    (link,) = spans[f"process {topics.input}"].links
    assert f"{link.context.span_id:016x}" == "b7ad6b7169203331"
    assert spans[f"send {topics.output}"].status.status_code is StatusCode.UNSET


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ExportTraceServiceRequest]]:
    """An OTLP collector on loopback, which the environment names."""
    received: list[ExportTraceServiceRequest] = []

    def take(request: Request) -> Response:
        assert request.headers["content-type"] == "application/x-protobuf"
        received.append(ExportTraceServiceRequest.FromString(request.body))
        return Response(body=b"", content_type="application/x-protobuf")

    with HttpServer("127.0.0.1", 0, {("POST", "/v1/traces"): take}) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
        yield received


def test_spans_reach_a_collector_under_the_name_that_the_environment_gives(
    collector: list[ExportTraceServiceRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=labeller,deployment.environment.name=test")
    records = [traced_record(1, PARENT)]
    with watched(read_settings({"traces": "otlp"}), Stop(1.0), 60.0) as witness:
        assert witness is not None
        witness.handled(handled(records))
        witness.confirmed(records, [TOMBSTONE])
    (exported,) = [spans for request in collector for spans in request.resource_spans]
    resource = {one.key: one.value.string_value for one in exported.resource.attributes}
    assert resource["service.name"] == "labeller"
    assert resource["deployment.environment.name"] == "test"
    assert resource["service.version"]
    assert {span.name.split()[0] for scope in exported.scope_spans for span in scope.spans} == {
        "poll",
        "process",
        "send",
    }


def test_traces_without_opentelemetry_are_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def without(name: str, *args: object, **more: object) -> ModuleType:
        if name.startswith(("opentelemetry", "kuaixun.worker.observability.traces")):
            raise ImportError(f"No module named {name!r}", name=name)
        return real(name, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    assert cli.main(["run", "--traces", "otlp"]) == SettingError.exit_code
    assert "pip install 'kuaixun[traces]'" in capsys.readouterr().err


def test_a_collector_that_does_not_answer_does_not_hold_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    traced = Traced()
    released = threading.Event()
    monkeypatch.setattr(traced.provider, "shutdown", lambda: released.wait(PATIENCE_SECONDS))
    monkeypatch.setattr("kuaixun.worker.observability.traces.CLOSE_SECONDS", 0.01)
    traced.traces.close()
    assert not released.is_set()
    released.set()
