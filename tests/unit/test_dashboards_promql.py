"""Every query is about declared metrics, with declared labels, and treats counters as counters."""

import re
from collections.abc import Iterator

import pytest

from alerts import foreign as alerts_foreign
from alerts import recording
from alerts.rule import RecordingRule
from collector import catalogue
from collector.catalogue import FLEET_METRICS, METRICS
from collector.metrics import Kind
from dashboards.linter.promql import matched_labels, parse, selectors
from dashboards.prometheus import dashboards, foreign
from dashboards.prometheus.jobs import STATES
from dashboards.prometheus.promql import Scope
from dashboards.spec import Query

DECLARED = METRICS | FLEET_METRICS
RECORDED = {
    rule.name: rule
    for value in vars(recording).values()
    for rule in (value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else (value,))
    if isinstance(rule, RecordingRule)
}
FOREIGN = {"up", "ALERTS", "ALERTS_FOR_STATE"} | foreign.NAMES | alerts_foreign.NAMES
FOREIGN_LABELS = {"alertname", "alertstate", "severity", "gate", "scope", "rule_group", "integration"}
TARGET_LABELS = {"host", "job", "instance"}
WINDOWS = {"rate": "$__rate_interval", "increase": "$__range"}


def queries() -> Iterator[tuple[str, Query]]:
    for dashboard in dashboards():
        for panel in dashboard.panels():
            yield from ((f"{dashboard.uid}/{panel.slug}", query) for query in panel.expressions())
        for mark in dashboard.annotations:
            yield f"{dashboard.uid}/{mark.name}", Query(mark.expr, mark.title)


QUERIES = list(queries())
each_query = pytest.mark.parametrize(
    "query", [query for _, query in QUERIES], ids=[f"{where}-{number}" for number, (where, _) in enumerate(QUERIES)]
)


def labels_of(name: str) -> set[str]:
    """Those that a series of this name has besides the target's."""
    if name in DECLARED:
        return set(DECLARED[name].labels)
    if name in RECORDED:
        return set(re.findall(r"\w+", " ".join(re.findall(r" by \(([^)]*)\)", RECORDED[name].expr))))
    return FOREIGN_LABELS


def problems(expr: str) -> list[str]:
    found = []
    labels = set(TARGET_LABELS)
    for selector, function in selectors(parse(expr)):
        name = selector.name or ""
        labels |= labels_of(name)
        matched = set(matched_labels(selector))
        if name not in DECLARED and name not in FOREIGN and name not in RECORDED:
            found.append(f"{name} is not declared")
        found += [f"{name} has no label {label}" for label in sorted(matched - labels_of(name) - TARGET_LABELS)]
        if name in DECLARED and (DECLARED[name].kind is Kind.COUNTER) != (function in WINDOWS):
            found.append(f"{name} is a {DECLARED[name].kind} under {function or 'no function'}")
        if name in METRICS and not matched >= {"host", "job"}:
            found.append(f"{name} is not matched by host and job")
    for grouping in re.findall(r"by \(([^)]*)\)", expr):
        found += [f"grouped by {label}, which none has" for label in grouping.split(", ") if label not in labels]
    found += [
        f"{function} over {window}"
        for function, window in re.findall(r"\b(rate|increase)\([^[]*\[([^]]*)\]", expr)
        if WINDOWS[function] != window
    ]
    return found


@each_query
def test_query_is_about_declared_metrics_and_labels(query: Query) -> None:
    assert problems(query.expr) == []


@each_query
def test_legend_uses_labels_that_the_result_has(query: Query) -> None:
    kept = {label for grouping in re.findall(r"by \(([^)]*)\)", query.expr) for label in grouping.split(", ")}
    for selector, _ in selectors(parse(query.expr)):
        if selector.name in RECORDED or selector.name == "ALERTS":
            kept |= labels_of(selector.name or "") | TARGET_LABELS
    assert set(re.findall(r"{{(\w+)}}", query.legend)) <= kept


def test_variables_ask_for_labels_that_exist() -> None:
    for dashboard in dashboards():
        for variable in dashboard.variables:
            match = re.fullmatch(r"label_values\((.*), (\w+)\)", variable.query)
            assert match is not None
            selector, label = match.groups()
            name = re.sub(r"{.*}", "", selector)
            assert name in METRICS or name in FOREIGN
            assert label in TARGET_LABELS | labels_of(name)


@pytest.mark.parametrize(
    ("expr", "problem"),
    [
        ('node_lod1{job="a", host="b"}', "node_lod1 is not declared"),
        ('node_load1{job="a", host="b", cpu="0"}', "node_load1 has no label cpu"),
        ('node_load1{host="b"}', "node_load1 is not matched by host and job"),
        ('node_forks_total{job="a", host="b"}', "node_forks_total is a counter under no function"),
        ('rate(node_load1{job="a", host="b"}[$__rate_interval])', "node_load1 is a gauge under rate"),
        ('rate(node_forks_total{job="a", host="b"}[5m])', "rate over 5m"),
        ('sum by (device) (node_load1{job="a", host="b"})', "grouped by device, which none has"),
        ('host:node_cpu_bsy:ratio_rate5m{host="b"}', "host:node_cpu_bsy:ratio_rate5m is not declared"),
    ],
)
def test_the_check_finds_what_is_wrong(expr: str, problem: str) -> None:
    assert problem in problems(expr)


def test_a_bare_counter_is_refused_when_the_dashboard_is_imported() -> None:
    with pytest.raises(ValueError, match="node_forks_total is a counter"):
        Scope('host="a"').gauge(catalogue.host.FORKS)


@pytest.mark.parametrize("method", [Scope.rate, Scope.increase])
def test_the_rate_of_a_gauge_is_refused_when_the_dashboard_is_imported(method: object) -> None:
    assert callable(method)
    with pytest.raises(ValueError, match="node_load1 is a gauge"):
        method(Scope('host="a"'), catalogue.host.LOAD1)


def test_every_state_of_a_job_has_a_colour() -> None:
    shown = {word for words, _, _ in STATES for word in words.split("|")}
    assert shown == catalogue.job._STATES
