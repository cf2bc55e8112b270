"""The alert rules: valid, asking for what workers show, and speaking when they should."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from kuaixun.worker.observability.watching import LAST_LOOK_SECONDS
from tests.deploy.queries import faults, misused
from tests.deploy.tools import DEPLOY, installed, passes

RULES = DEPLOY / "prometheus" / "rules.yaml"
UNIT_TESTS = DEPLOY / "prometheus" / "rules.test.yaml"
OPERATOR = DEPLOY / "kubernetes" / "components" / "prometheus-operator"
OPERATORS_RULES = OPERATOR / "prometheusrule.yaml"
GROUPS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
ALL = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = [rule for rule in ALL if "alert" in rule]
RECORDED = frozenset(rule["record"] for rule in ALL if "record" in rule)


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_asks_for_what_workers_show(rule: dict[str, Any]) -> None:
    assert faults(rule["expr"], RECORDED) + misused(rule["expr"]) == []


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"].keys() == {"summary", "description"}
    # `$labels.instance` is empty where the query sums over workers.
    asked = set(re.findall(r"\$labels\.(\w+)", f"{rule['annotations']}"))
    summed = re.findall(r"\b(?:by|without) \(([\w, ]*)\)", rule["expr"])
    kept = set(re.split(r", ", summed[0])) if summed else {"instance"}
    assert asked <= kept | {"job", "namespace"}


def test_prometheus_finds_nothing_wrong_with_the_rules() -> None:
    passes(installed("promtool"), "check", "rules", "--lint=all", "--lint-fatal", RULES)


def test_the_alerts_speak_when_they_should_and_keep_quiet_when_they_should_not() -> None:
    passes(installed("promtool"), "test", "rules", UNIT_TESTS)


def test_every_alert_is_tried() -> None:
    tried = yaml.safe_load(UNIT_TESTS.read_text(encoding="utf-8"))["tests"]
    spoke = {case["alertname"] for test in tried for case in test["alert_rule_test"] if case.get("exp_alerts")}
    silent = {case["alertname"] for test in tried for case in test["alert_rule_test"] if not case.get("exp_alerts")}
    assert spoke == silent == {rule["alert"] for rule in ALERTS}


def test_what_a_worker_shows_before_it_ends_is_scraped_wherever_we_say_how_often() -> None:
    tried = yaml.safe_load(UNIT_TESTS.read_text(encoding="utf-8"))["tests"]
    compose = yaml.safe_load((DEPLOY / "compose" / "prometheus.yaml").read_text(encoding="utf-8"))
    monitor = yaml.safe_load((OPERATOR / "servicemonitor.yaml").read_text(encoding="utf-8"))
    intervals = [test["interval"] for test in tried if test["name"] == "KuaixunDeadLetterLimitReached"]
    intervals += [compose["global"]["scrape_interval"], *(one["interval"] for one in monitor["spec"]["endpoints"])]
    assert len(intervals) == 3
    assert all(int(interval.removesuffix("s")) < LAST_LOOK_SECONDS for interval in intervals), intervals


def test_the_operator_s_form_holds_the_same_rules() -> None:
    """Written by `python -m tests.deploy.operators_rules`."""
    assert yaml.safe_load(OPERATORS_RULES.read_text(encoding="utf-8"))["spec"]["groups"] == GROUPS
