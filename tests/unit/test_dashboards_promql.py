"""Every query is valid PromQL about declared metrics, with declared labels, and treats counters as counters."""

import re
from collections.abc import Iterator

import promql_parser as promql
import pytest

from collector import catalogue
from collector.catalogue import METRICS
from collector.metrics import Kind
from dashboards.generated import all_dashboards
from dashboards.prometheus.promql import Scope
from dashboards.spec import Query, Stat, Table, TimeSeries

FOREIGN = {"up", "ALERTS", "ALERTS_FOR_STATE"}
ALERT_LABELS = {"alertname", "alertstate", "severity", "gate", "scope"}
TARGET_LABELS = {"host", "job", "instance"}
WINDOWS = {"rate": "$__rate_interval", "increase": "$__range"}


def queries() -> Iterator[tuple[str, Query]]:
    for dashboard in all_dashboards():
        for panel in dashboard.panels():
            where = f"{dashboard.uid}/{panel.slug}"
            if isinstance(panel, TimeSeries):
                yield from ((where, query) for query in panel.queries)
            elif isinstance(panel, Stat):
                yield where, panel.query
            elif isinstance(panel, Table):
                yield from ((where, Query(column.expr, "")) for column in panel.columns)


QUERIES = list(queries())
each_query = pytest.mark.parametrize(
    "query", [query for _, query in QUERIES], ids=[f"{where}-{number}" for number, (where, _) in enumerate(QUERIES)]
)


def parse(expr: str) -> promql.Expr:
    for variable, duration in {"$__rate_interval": "5m", "$__range": "3h"}.items():
        expr = expr.replace(variable, duration)
    return promql.parse(re.sub(r"\$\w+", "value", expr))


def selectors(expr: promql.Expr, function: str = "") -> Iterator[tuple[promql.VectorSelector, str]]:
    """Every selector, with the function that takes it as a range."""
    match expr:
        case promql.VectorSelector():
            yield expr, ""
        case promql.MatrixSelector():
            yield expr.vector_selector, function
        case promql.Call():
            for argument in expr.args:
                yield from selectors(argument, expr.func.name)
        case promql.BinaryExpr():
            yield from selectors(expr.lhs)
            yield from selectors(expr.rhs)
        case promql.AggregateExpr() | promql.ParenExpr():
            yield from selectors(expr.expr)
        case promql.NumberLiteral():
            return
        case _:
            raise TypeError(f"{type(expr).__name__} is not used yet: say what becomes of its selectors")


def problems(expr: str) -> list[str]:
    found = []
    labels = set(TARGET_LABELS)
    for selector, function in selectors(parse(expr)):
        name = selector.name or ""
        known = set(ALERT_LABELS if name in FOREIGN else METRICS[name].labels if name in METRICS else ())
        labels |= known
        matched = {matcher.name for matcher in selector.matchers.matchers}
        if name not in METRICS and name not in FOREIGN:
            found.append(f"{name} is not declared")
        found += [f"{name} has no label {label}" for label in sorted(matched - known - TARGET_LABELS)]
        if name in METRICS and (METRICS[name].kind is Kind.COUNTER) != (function in WINDOWS):
            found.append(f"{name} is a {METRICS[name].kind} under {function or 'no function'}")
        if "host" not in matched or ("job" not in matched and not name.startswith("ALERTS")):
            found.append(f"{name} is not matched by host and job")
    for grouping in re.findall(r"by \(([^)]*)\)", expr):
        found += [f"grouped by {label}, which none has" for label in grouping.split(", ") if label not in labels]
    found += [
        f"{function} over {window}"
        for function, window in re.findall(r"(rate|increase)\([^[]*\[([^]]*)\]", expr)
        if WINDOWS[function] != window
    ]
    return found


@each_query
def test_query_is_about_declared_metrics_and_labels(query: Query) -> None:
    assert problems(query.expr) == []


@each_query
def test_legend_uses_labels_that_the_result_has(query: Query) -> None:
    kept = {label for grouping in re.findall(r"by \(([^)]*)\)", query.expr) for label in grouping.split(", ")}
    assert set(re.findall(r"{{(\w+)}}", query.legend)) <= kept


def test_variables_ask_for_labels_that_exist() -> None:
    for dashboard in all_dashboards():
        for variable in dashboard.variables:
            selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable.query).groups()  # type: ignore[union-attr]
            name = re.sub(r"{.*}", "", selector)
            assert name in METRICS or name in FOREIGN
            assert label in TARGET_LABELS or label in METRICS[name].labels


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
    ],
)
def test_the_check_finds_what_is_wrong(expr: str, problem: str) -> None:
    assert problems(expr) == [problem]


def test_a_bare_counter_is_refused_when_the_dashboard_is_imported() -> None:
    with pytest.raises(ValueError, match="node_forks_total is a counter"):
        Scope('host="a"').gauge(catalogue.host.FORKS)


@pytest.mark.parametrize("method", [Scope.rate, Scope.increase])
def test_the_rate_of_a_gauge_is_refused_when_the_dashboard_is_imported(method: object) -> None:
    assert callable(method)
    with pytest.raises(ValueError, match="node_load1 is a gauge"):
        method(Scope('host="a"'), catalogue.host.LOAD1)
