"""PromQL, as rules and dashboard hold it: which metrics a query names, and by which labels it asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import promql_parser

from kuaixun.worker.observability.metric_names import METRICS, Kind

# Of the Prometheus client, of Prometheus itself, and what it writes beside what it scrapes.
OTHERS = {"up", "ALERTS", "process_start_time_seconds", "process_cpu_seconds_total", "process_resident_memory_bytes"}
# What whoever scrapes adds, and what an alert has.
OF_SCRAPING = {"job", "instance", "namespace", "alertname", "alertstate"}


@dataclass(frozen=True, slots=True)
class Selection:
    """One metric in a query, with the labels that are asked for."""

    metric: str
    labels: frozenset[str]


def selections(query: str) -> Iterator[Selection]:
    """Every metric that a query selects. Raises ValueError where it is no PromQL."""
    found: list[Selection] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(Selection(node.name or "", frozenset(one.name for one in node.matchers.matchers)))

    promql_parser.walk(promql_parser.parse(query), visit)
    return iter(found)


def grouped_by(query: str) -> set[str]:
    """The labels by which a query groups or joins."""
    labels: set[str] = set()

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            labels.update(node.modifier.labels)

    promql_parser.walk(promql_parser.parse(query), visit)
    return labels


def series() -> dict[str, set[str]]:
    """What a worker shows: each series' name, and its labels."""
    known: dict[str, set[str]] = {}
    for metric in METRICS:
        labels = set(metric.labels)
        if metric.kind is Kind.HISTOGRAM:
            known |= {f"{metric.name}_sum": labels, f"{metric.name}_count": labels}
            known[f"{metric.name}_bucket"] = labels | {"le"}
        else:
            known[metric.name] = labels
    return known


# Functions that make sense of counters alone, and those that make none of a counter, which starts again at 0.
OF_COUNTERS = {"rate", "irate", "increase", "resets"}
OF_GAUGES = {"delta", "idelta", "deriv", "predict_linear", "changes"}
HISTOGRAM_PARTS = ("_bucket", "_sum", "_count")


def kinds() -> dict[str, Kind]:
    """What each series is: a histogram's own three are counters, and its buckets a histogram."""
    known = {one: Kind.COUNTER if one.endswith("_total") else Kind.GAUGE for one in OTHERS}
    for metric in METRICS:
        if metric.kind is Kind.HISTOGRAM:
            known |= {metric.name + part: Kind.COUNTER for part in HISTOGRAM_PARTS}
            known[f"{metric.name}_bucket"] = Kind.HISTOGRAM
        else:
            known[metric.name] = metric.kind
    return known


def misused(query: str) -> list[str]:
    """Where a query takes a metric for one of another kind, so that its answer would mean nothing."""
    known, wrong = kinds(), list[str]()

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.Call) and node.func.name in OF_COUNTERS | OF_GAUGES:
            name = node.func.name
            for one in _names(node.args[0]) & known.keys():
                if (known[one] is Kind.GAUGE) is (name in OF_COUNTERS):
                    wrong.append(f"{name} of {one}, which is a {known[one]}")
        elif isinstance(node, promql_parser.Call) and node.func.name == "histogram_quantile":
            buckets = node.args[1]
            wrong.extend(
                f"histogram_quantile of {one}, which is no bucket"
                for one in _names(buckets)
                if known.get(one) is not Kind.HISTOGRAM
            )
            if isinstance(buckets, promql_parser.AggregateExpr) and "le" not in grouped_by(buckets.prettify()):
                wrong.append("histogram_quantile of buckets that are summed without le")
        elif isinstance(node, promql_parser.MatrixSelector):
            ranged.append(node.vector_selector.name or "")
        elif isinstance(node, promql_parser.VectorSelector):
            chosen.append(node.name or "")

    chosen, ranged = list[str](), list[str]()
    promql_parser.walk(promql_parser.parse(query), visit)
    for one in ranged:
        chosen.remove(one)  # which the walk comes to as well
    return wrong + [f"{one} without rate or increase" for one in chosen if known.get(one, Kind.GAUGE) is not Kind.GAUGE]


def _names(node: promql_parser.Expr) -> set[str]:
    return {one.metric for one in selections(node.prettify())}


def faults(query: str, recorded: frozenset[str] = frozenset()) -> list[str]:
    """What a query asks for that nobody shows; `recorded` are the names of recording rules."""
    known = {**series(), **{name: set[str]() for name in OTHERS | recorded}}
    chosen = list(selections(query))
    wrong = [f"{one.metric} is no metric" for one in chosen if one.metric not in known]
    for one in chosen:
        wrong += [
            f"{one.metric} has no label {label}"
            for label in one.labels - OF_SCRAPING - {"__name__"} - known.get(one.metric, one.labels)
        ]
    labels = OF_SCRAPING.union(*(known.get(one.metric, set()) for one in chosen))
    return wrong + [f"nothing in the query has the label {label}" for label in grouped_by(query) - labels]
