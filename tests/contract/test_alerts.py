"""The alert rules and the dashboard ask for measures that exist, and docs/operations.md knows what to do about each.

What the rules do with the measures is proven by `promtool test rules deploy/prometheus/alerts_test.yml`.
"""

import json
import re
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from protos.auth.v1 import auth_service_pb2
from shared import metrics
from tests.servers import ROOT

DEPLOY = ROOT / "deploy"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
CASES = yaml.safe_load((DEPLOY / "prometheus" / "alerts_test.yml").read_text())["tests"]
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "parley.json").read_text())
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
# The words of PromQL that the rules and the dashboard need, and what is not a measure of ours.
WORDS = {"sum", "min", "max", "rate", "increase", "histogram_quantile", "absent", "topk", "or", "and", "time"}
FOREIGN = {
    "up": {"job", "instance"},
    "process_resident_memory_bytes": {"job", "instance"},
    "process_cpu_seconds_total": {"job", "instance"},
}
SCRAPED = {"job", "instance"}
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
DASHBOARD_EXPRESSIONS = [
    (f"{panel['title']}: {target['legendFormat']}", target["expr"])
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", [])
]
EXPRESSIONS = [(rule["alert"], rule["expr"]) for rule in RULES] + DASHBOARD_EXPRESSIONS


def measures() -> dict[str, set[str]]:
    """The labels of every series that the services export, by the series' name."""
    found = dict(FOREIGN)
    for wrapper in vars(metrics).values():
        if not isinstance(wrapper, MetricWrapperBase):
            continue
        labels = set(wrapper._labelnames) | SCRAPED
        match wrapper._type:
            case "counter":
                found[f"{wrapper._name}_total"] = labels
            case "histogram":
                found |= {f"{wrapper._name}_{part}": labels for part in ("count", "sum")}
                found[f"{wrapper._name}_bucket"] = labels | {"le"}
            case _:
                found[wrapper._name] = labels
    return found


def bare(expression: str) -> str:
    """The expression without what stands in quotes, in braces, in brackets, and after `by`."""
    unquoted = re.sub(r'"[^"]*"', "", expression)
    return re.sub(r"\{[^}]*\}|\[[^\]]*\]|\bby \([^)]*\)", " ", unquoted)


def grouped(expression: str) -> set[str]:
    return {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in group.split(",")}


def test_there_are_measures_to_compare_with() -> None:
    exported = {family.name for family in REGISTRY.collect()}
    assert len(measures()) > 30
    assert {"parley_rpc_seconds", "parley_cache_trusted", "process_resident_memory_bytes"} <= exported
    assert len(EXPRESSIONS) > 40


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS)
def test_an_expression_is_made_of_measures_that_exist_and_of_words_of_promql(name: str, expression: str) -> None:
    unknown = set(NAME.findall(bare(expression))) - measures().keys() - WORDS
    assert unknown == set(), name
    for opening, closing in ("()", "[]", "{}"):
        assert expression.count(opening) == expression.count(closing), name
    assert expression.count('"') % 2 == 0


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS)
def test_an_expression_asks_for_labels_that_its_measures_have(name: str, expression: str) -> None:
    known = measures()
    used = [measure for measure in NAME.findall(bare(expression)) if measure in known]
    labels = set.union(*(known[measure] for measure in used))
    assert grouped(expression) - labels == set(), name
    for measure, matchers in SELECTOR.findall(expression):
        assert {label for label, _, _ in MATCHER.findall(matchers)} - known[measure] == set(), name


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS)
def test_a_quantile_keeps_the_buckets_and_a_counter_is_read_as_a_rate(name: str, expression: str) -> None:
    if "_bucket" in expression:
        assert all("le" in group for group in re.findall(r"histogram_quantile\([\d.]+, sum by \(([^)]*)\)", expression))
    counters = re.findall(r"\w+_(?:total|bucket|count|sum)\b(?=[{\[])", expression)
    rates = re.findall(r"\b(?:rate|increase)\(", expression)
    assert len(counters) == len(rates), name


def test_methods_that_are_asked_for_are_served() -> None:
    asked = {method for _, expression in EXPRESSIONS for method in re.findall(r'method="([^"]+)"', expression)}
    service = auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"]
    assert asked == {f"/{service.full_name}/{name}" for name in ("VerifyToken", "LogIn")}
    assert {method.rpartition("/")[2] for method in asked} <= {method.name for method in service.methods}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_says_how_urgent_it_is_what_happened_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["for"]
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"
    entry = re.search(rf"^### {rule['alert']}\n\n(.+?)(?=\n#|\Z)", OPERATIONS, re.MULTILINE | re.DOTALL)
    assert entry is not None, "no runbook"
    assert len(entry[1]) > 100


def test_every_runbook_belongs_to_an_alert() -> None:
    runbooks = OPERATIONS.partition("## Alerts and runbooks")[2].partition("\n## ")[0]
    assert set(re.findall(r"^### (\w+)$", runbooks, re.MULTILINE)) == {rule["alert"] for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_is_tested_to_fire_and_to_stay_silent(rule: dict[str, Any]) -> None:
    expected = [
        bool(check["exp_alerts"])
        for case in CASES
        for check in case["alert_rule_test"]
        if check["alertname"] == rule["alert"]
    ]
    assert set(expected) == {True, False}


def test_alerts_that_silence_others_name_alerts_that_exist() -> None:
    routing = yaml.safe_load((DEPLOY / "alertmanager" / "alertmanager.yml").read_text())
    matchers = [
        matcher
        for rule in routing["inhibit_rules"]
        for matcher in [*rule["source_matchers"], *rule["target_matchers"]]
        if matcher.startswith("alertname")
    ]
    named = {name for matcher in matchers for name in re.findall(r'"(.+)"', matcher)[0].split("|")}
    assert named
    assert named <= {rule["alert"] for rule in RULES}


def test_the_panels_of_the_dashboard_do_not_overlap_and_say_what_they_show() -> None:
    panels = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]}
    assert len(places) == len(DASHBOARD["panels"])
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert [panel["title"] for panel in panels if not panel["description"].endswith(".")] == []
