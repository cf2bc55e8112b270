"""The list of names is the documentation, and keeps to Prometheus' customs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kuaixun.worker.observability.metric_names import METRICS, Kind, Metric, page

ROOT = Path(__file__).resolve().parents[3]


def test_the_page_of_metrics_is_the_one_that_the_list_makes() -> None:
    assert (ROOT / "docs/metrics.md").read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_keep_to_the_customs_of_prometheus(metric: Metric) -> None:
    assert re.fullmatch(r"kuaixun_[a-z]+(_[a-z]+)*", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert bool(metric.bounds) == (metric.kind is Kind.HISTOGRAM)
    assert list(metric.bounds) == sorted(set(metric.bounds))
    assert metric.meaning.endswith(".")


def test_no_name_stands_twice() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
