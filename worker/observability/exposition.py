"""The metrics as Prometheus reads them: figures become families of samples whenever somebody asks, and not before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family

from kuaixun import __version__
from kuaixun.schemas.dead_letter import DeadLetterReason
from kuaixun.worker.kafka.client_defaults import client_version
from kuaixun.worker.observability import metric_names as names
from kuaixun.worker.observability.figures import Figures
from kuaixun.worker.observability.health import Health
from kuaixun.worker.observability.histogram import Histogram
from kuaixun.worker.observability.metric_names import Kind, Metric
from kuaixun.worker.witness import Parts

MOST_LABELS = 200  # of a model, by name; what is beyond counts together, for each is a time series of its own
OTHER_LABELS = "(others)"


def exposition(figures: Figures, health: Health) -> Callable[[str], tuple[bytes, str]]:
    """The page of a worker's metrics: given what a reader accepts, its bytes and their content type."""
    registry = CollectorRegistry()
    registry.register(_Worker(figures, health))
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)

    def page(accepted: str) -> tuple[bytes, str]:
        encode, content_type = choose_encoder(accepted)
        return encode(registry), content_type

    return page


class _Worker:
    """A collector of the Prometheus client's."""

    def __init__(self, figures: Figures, health: Health) -> None:
        self._figures, self._health = figures, health

    def describe(self) -> Iterable[Family]:
        """The names alone, for the registry, which would else ask for everything once."""
        return [_family(metric) for metric in names.METRICS]

    def collect(self) -> Iterator[Family]:
        """Everything that is known by now; before the worker is put together that is little."""
        yield _valued(names.BUILD, {(__version__, client_version()): 1})
        yield _valued(names.READY, {(): self._health.ready().yes})
        since_turn = self._health.since_turn_seconds
        yield _valued(names.SINCE_TURN, {} if since_turn is None else {(): since_turn})
        yield _valued(names.OUTAGE_SECONDS, {(): self._figures.outage_seconds()})
        yield from self._of_the_loop()
        yield from self._of_the_model()
        if self._figures.parts is not None:
            yield from _of_the_parts(self._figures.parts)

    def _of_the_loop(self) -> Iterator[Family]:
        figures = self._figures
        yield _histogram(names.BATCH_RECORDS, {(): figures.batch_records})
        yield _histogram(names.STAGE, {(stage,): times for stage, times in figures.stages.items()})
        yield _histogram(names.END_TO_END, {(): figures.end_to_end})
        yield _valued(names.BLOCKED_SECONDS, {(): figures.blocked_seconds})
        lags = figures.lags
        yield _valued(names.LAG, {(p.topic, str(p.number)): lag for p, lag in lags.items() if lag is not None})
        yield _valued(names.PARTITIONS, {(): len(lags)})

    def _of_the_model(self) -> Iterator[Family]:
        model, now = self._figures.model, self._figures.model.now
        if not now.labels:
            return
        drift = now.mix.drift
        yield _valued(names.MODEL, {(now.model_id, now.engine): 1})
        yield _valued(names.LABELS, _of_the_first(model.by_label()))
        yield _histogram(names.CONFIDENCE, {(): model.confidences})
        yield _valued(names.ABSTENTIONS, {(): model.abstentions})
        yield _valued(names.DRIFT, {} if drift is None else {(): drift})
        yield _valued(names.TRAINING_SHARE, _of_the_first(now.mix.training_shares))


def _of_the_parts(parts: Parts) -> Iterator[Family]:
    """What the worker's parts count for themselves."""
    counts, reloads, limit = parts.delivery.counts, parts.reloads, parts.limit
    outcomes = {
        "labelled": counts.labelled,
        "dead_letter": counts.dead_lettered.total(),
        "tombstone": counts.tombstones,
    }
    yield _valued(names.CONSUMED, {(): counts.consumed})
    yield _valued(names.OUTCOMES, {(outcome,): count for outcome, count in outcomes.items()})
    yield _valued(names.DEAD_LETTERS, {(reason.value,): counts.dead_lettered[reason] for reason in DeadLetterReason})
    yield _valued(names.REBALANCES, {(event,): count for event, count in parts.source.rebalances.items()})
    yield _valued(names.RELOADS, {("taken_up",): reloads.taken_up, ("refused",): reloads.refused})
    yield _valued(names.BUNDLE_REFUSED, {(): reloads.refusal is not None})
    yield _valued(names.DEAD_LETTERS_IN_A_ROW, {(): limit.in_a_row})
    yield _valued(names.DEAD_LETTERS_IN_A_ROW_LIMIT, {(): limit.limits.in_a_row})
    yield _valued(names.DEAD_LETTER_RATIO, {(): limit.ratio})
    yield _valued(names.DEAD_LETTER_RATIO_LIMIT, {(): limit.limits.ratio})
    yield _valued(names.DEAD_LETTER_LIMIT_NEAR, {(): limit.is_near})
    yield _valued(names.DEAD_LETTER_LIMIT_REACHED, {(): limit.error is not None})


def _of_the_first(by_label: Mapping[str, float]) -> dict[tuple[str, ...], float]:
    """Values by label, those beyond MOST_LABELS together."""
    found: dict[tuple[str, ...], float] = {}
    for number, (label, value) in enumerate(by_label.items()):
        name = label if number < MOST_LABELS else OTHER_LABELS
        found[name,] = found.get((name,), 0) + value
    return found


_FAMILIES = {Kind.COUNTER: CounterMetricFamily, Kind.GAUGE: GaugeMetricFamily, Kind.HISTOGRAM: HistogramMetricFamily}


def _family(metric: Metric) -> Any:  # each of the client's kinds has an `add_metric` of its own
    return _FAMILIES[metric.kind](metric.name, metric.meaning, labels=metric.labels)


def _valued(metric: Metric, values: Mapping[tuple[str, ...], float]) -> Family:
    """A counter or a gauge, whichever the metric is."""
    family = _family(metric)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return cast("Family", family)


def _histogram(metric: Metric, values: Mapping[tuple[str, ...], Histogram]) -> Family:
    family = _family(metric)
    for labels, histogram in values.items():
        family.add_metric(labels, histogram.cumulative(), histogram.sum)
    return cast("Family", family)
