"""The dashboard asks the chosen data source for what workers show; Grafana finds it where it is provisioned."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
import yaml

from kuaixun.worker.observability.metric_names import METRICS
from tests.deploy.queries import faults, misused, selections
from tests.deploy.tools import DEPLOY

DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "kuaixun.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
VARIABLES = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
CHOSEN = {"type": "prometheus", "uid": "${datasource}"}
OF_GRAFANA = {"$__rate_interval": "1m", "$__interval": "15s"}


def as_sent(query: str) -> str:
    """A query with Grafana's variables filled in."""
    for name, value in OF_GRAFANA.items():
        query = query.replace(name, value)
    return re.sub(r"\$(\w+)", lambda found: ".*" if found[1] in VARIABLES else found[0], query)


def queries() -> Iterator[tuple[str, str]]:
    """Each query of the dashboard, under the name of what asks it."""
    for panel in PANELS:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", as_sent(target["expr"])
    for one in DASHBOARD["annotations"]["list"]:
        if "expr" in one:
            yield f"annotation {one['name']}", as_sent(one["expr"])
    for variable in VARIABLES.values():
        if variable["type"] == "query":
            (selector,) = re.findall(r"label_values\((.*), \w+\)", variable["query"]["query"])
            yield f"variable {variable['name']}", as_sent(selector)


@pytest.mark.parametrize(("name", "query"), list(queries()), ids=[name for name, _ in queries()])
def test_a_query_asks_for_what_workers_show(name: str, query: str) -> None:
    assert faults(query) + misused(query) == [], name


def test_every_metric_is_on_the_dashboard() -> None:
    asked = {re.sub("_(bucket|sum|count)$", "", one.metric) for _, query in queries() for one in selections(query)}
    assert {metric.name for metric in METRICS} - asked == set()


def test_everything_is_asked_of_the_data_source_that_the_reader_chooses() -> None:
    assert VARIABLES["datasource"]["type"] == "datasource"
    assert VARIABLES["datasource"]["query"] == "prometheus"
    sources = [panel["datasource"] for panel in PANELS]
    sources += [target["datasource"] for panel in PANELS for target in panel["targets"]]
    sources += [one["datasource"] for one in DASHBOARD["annotations"]["list"] if "expr" in one]
    sources += [one["datasource"] for one in VARIABLES.values() if one["type"] == "query"]
    assert all(source == CHOSEN for source in sources)


def test_the_reader_s_choice_of_workers_holds_for_every_panel() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            for one in selections(as_sent(target["expr"])):
                assert {"job", "instance"} <= one.labels, panel["title"]


def test_panels_are_told_apart_named_explained_and_lie_side_by_side() -> None:
    everything = DASHBOARD["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    assert all(panel["title"] and panel["description"] and panel["fieldConfig"] for panel in PANELS)
    for one, other in combinations((panel["gridPos"] for panel in everything), 2):
        apart_across = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_down = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_across or apart_down, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in everything)


def test_grafana_finds_the_dashboard_and_prometheus_where_compose_puts_them() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    mounted = dict(volume.split(":")[:2] for volume in compose["services"]["grafana"]["volumes"])
    (provider,) = provisioned("dashboards/kuaixun.yaml")["providers"]
    assert mounted["./grafana/kuaixun.json"] == f"{provider['options']['path']}/kuaixun.json"
    (source,) = provisioned("datasources/prometheus.yaml")["datasources"]
    assert source["type"] == CHOSEN["type"]
    assert source["url"].removeprefix("http://").split(":") == ["prometheus", "9090"]
    assert "prometheus" in compose["services"]


def provisioned(name: str) -> Any:
    return yaml.safe_load((DEPLOY / "grafana" / "provisioning" / name).read_text(encoding="utf-8"))
