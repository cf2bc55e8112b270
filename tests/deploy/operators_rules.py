"""deploy/prometheus/rules.yaml in the form of the Prometheus operator: `python -m tests.deploy.operators_rules`."""

from __future__ import annotations

import yaml

from tests.deploy.tools import DEPLOY

RULES = DEPLOY / "prometheus" / "rules.yaml"
OPERATORS_RULES = DEPLOY / "kubernetes" / "components" / "prometheus-operator" / "prometheusrule.yaml"


def main() -> None:
    """Write it anew."""
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "kuaixun-worker", "labels": {"app.kubernetes.io/name": "kuaixun-worker"}},
        "spec": yaml.safe_load(RULES.read_text(encoding="utf-8")),
    }
    text = yaml.safe_dump(rule, sort_keys=False, width=120, allow_unicode=True)
    head = "# Made from deploy/prometheus/rules.yaml by `python -m tests.deploy.operators_rules`.\n"
    OPERATORS_RULES.write_text(head + text, encoding="utf-8")


if __name__ == "__main__":
    main()
