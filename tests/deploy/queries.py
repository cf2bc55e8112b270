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
